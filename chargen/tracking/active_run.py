"""Log to a Weights & Biases run that the user's own program has begun."""

import sys
from collections.abc import Sequence

from chargen.tracking.tracker import SampleRow

COLUMNS = ["epoch", "prompt", "diversity", "text"]


def log_samples(rows: Sequence[SampleRow]) -> None:
    """Log all sample texts so far as a table, if wandb is imported and a run is active; else do nothing."""
    wandb = sys.modules.get("wandb")
    run = getattr(wandb, "run", None)
    if wandb is not None and run is not None:
        run.log({"samples": wandb.Table(columns=COLUMNS, data=[list(row) for row in rows])}, commit=False)

"""Print the loss at each position of a window for `chargen evaluate --positions`."""

import math
from typing import TYPE_CHECKING

from chargen.cli.measuring import ProgressBars
from chargen.cli.tables import aligned
from chargen.errors import ConfigError

if TYPE_CHECKING:
    from chargen.insight.assessment import Subject

Positions = list[tuple[int, float]]


def measure_positions(subject: "Subject", verbosity: int) -> Positions:
    """Return (tokens, nats a token) of each position.

    Raises ConfigError for several models, and what `nats_by_position` raises.
    """
    from chargen.insight.evaluation import EncodedText, nats_by_position
    from chargen.network.model_file import TextModel

    if not isinstance(subject.model, TextModel):
        raise ConfigError("--positions measures one network, but several are given", hint="give one run")
    encoded = EncodedText.of(subject.documents, subject.model.vocabulary)
    with ProgressBars(verbosity).stage("positions", encoded.num_targets) as report:
        return nats_by_position(subject.model, encoded, report)


def positions_rows(found: Positions) -> list[dict[str, int | float | None]]:
    """Return plain values, positions counted from 1."""
    return [
        {"position": position, "tokens": tokens, "nats": None if math.isnan(nats) else nats}
        for position, (tokens, nats) in enumerate(found, start=1)
    ]


def positions_table(found: Positions) -> str:
    """Return a line for each position."""
    rows = [["position", "tokens", "nats/token"]]
    rows += [
        [str(position), f"{tokens:,}", "-" if math.isnan(nats) else f"{nats:.4f}"]
        for position, (tokens, nats) in enumerate(found, start=1)
    ]
    return aligned(rows)

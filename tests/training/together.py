"""`python -m tests.training.together TEXTS FOLDER` trains small networks with the processes that the environment names.

Each process writes into FOLDER what it carries after half of the steps and after all, and after the second half of them if it
goes on from what one process alone had carried after the first.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np

from chargen.training.devices.distribution import joined
from chargen.training.planning import memory
from tests.training.first_steps import STEPS, make_trainer

FORMS = ("lstm", "gru")
BATCH_SIZE = 4  # of the forms
HALF = STEPS // 2


def take_steps(trainer: Any, first: int, last: int) -> None:
    """Take the steps from `first` on up to `last`."""
    for step in range(first, last):
        trainer.train(0, step)


def main(texts: Path, folder: Path) -> None:
    """Train every form."""
    memory.WORK_PER_EXECUTION = 1.0  # a step at a time
    with joined(BATCH_SIZE) as ranks:
        for form in FORMS:
            trainer = make_trainer(form, "jax", texts, ranks)
            trainer.begin_epoch()
            take_steps(trainer, 0, HALF)
            half = trainer.state()
            take_steps(trainer, HALF, STEPS)
            np.savez(folder / f"{form}-half-{ranks.rank}.npz", **half)
            np.savez(folder / f"{form}-all-{ranks.rank}.npz", **trainer.state())
            with np.load(folder.parent / "alone" / f"{form}-half-0.npz") as arrays:
                trainer.restore(arrays)
            take_steps(trainer, HALF, STEPS)
            np.savez(folder / f"{form}-resumed-{ranks.rank}.npz", **trainer.state())
            assert trainer._engine._train._cache_size() == 1  # compiled programs


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))

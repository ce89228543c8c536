"""Measure held-out text with a Keras model, several batches at a time."""

import numpy as np
import numpy.typing as npt

from chargen.training.engines.dataset import Executions
from chargen.training.engines.engine import Engine
from chargen.training.planning.validation import Validation
from chargen.training.recording.results import Figures
from chargen.training.signals import RequestedSignal

CHAIN_TOKENS = 256  # of a row, after which the figures of two passes are compared
SETTLED = 1e-5  # nats a token between two passes, about the error of float32 sums

Sums = npt.NDArray[np.float64]  # of each figure, then of the weights, (F + 1,)


def steps_at_once(validation: Validation, most: int) -> int:
    """Return how many batches to measure without returning to Python, at most `most`."""
    if len(validation.begins) > 1:
        return 1
    batches = validation.batches
    chained = -(-CHAIN_TOKENS // batches.context_length)
    return max(1, min(most, batches.num_steps, chained if validation.chained else most))


class Measurer:
    """Measures one held-out text as planned, after each epoch.

    A long text is cut into rows that are read side by side. In the first pass each row starts from the zero state, in later
    passes from the state at the end of the row before, until the figures no longer change: they are then those of the text read
    in one row. Two or three passes are enough, because a network forgets the state it started from; there are never more passes
    than rows.
    """

    def __init__(self, engine: Engine, validation: Validation, names: tuple[str, ...], *, steps: int) -> None:
        """Measure the figures with these names, so many steps at a time."""
        self.engine, self._validation, self._names = engine, validation, names
        self._executions = Executions(validation.batches, steps=steps, same_epoch=True)
        self._firsts = range(0, validation.batches.num_steps, steps)

    def prepare(self) -> None:
        """Compile the functions that measure."""
        self.engine.test(self._validation.batches.batches(0, 0, 1))
        self.engine.figures()  # waits until it is done

    def measure(self, requested: RequestedSignal) -> Figures:
        """Return the means over all tokens; between two executions look whether a signal came.

        "drift" is how many nats a token the beginnings of the rows cost more with the carried state than from the zero state;
        if it is far above 0, the state has drifted.
        """
        sums = [self._execute(first, requested) for first in self._firsts]
        cold = sums[0].copy()
        if self._validation.chained and np.isfinite(sums).all():
            self._chain(sums, requested)
        total = np.sum(sums, axis=0)
        figures = {name: float(one / total[-1]) for name, one in zip(self._names, total, strict=False)}
        if self._validation.chained and (rows := self._rows_in_use()) > 1:  # the first row begins from the zero state anyway
            figures["drift"] = float((sums[0][0] - cold[0]) / cold[-1] * rows / (rows - 1))
        return figures

    def _chain(self, sums: list[Sums], requested: RequestedSignal) -> None:
        for _ in range(self._rows_in_use() - 1):
            self.engine.roll_states()
            for number, first in enumerate(self._firsts):
                before, sums[number] = sums[number], self._execute(first, requested, begins=False)
                if abs(sums[number][0] - before[0]) <= SETTLED * before[-1]:
                    return  # later figures would not change either

    def _execute(self, first: int, requested: RequestedSignal, *, begins: bool = True) -> Sums:
        requested.check()
        if begins and first in self._validation.begins:
            self.engine.reset_states()
        self.engine.reset_figures()
        self.engine.test(self._executions.take(0, first))
        return self.engine.sums()

    def _rows_in_use(self) -> int:
        stream, batches = self._validation.stream, self._validation.batches
        assert stream is not None
        return min(batches.batch_size, -(-stream.span // (batches.num_steps * batches.context_length)))

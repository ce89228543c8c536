import numpy as np
import pytest

from chargen.corpus.documents import Document
from chargen.corpus.vocabulary import CharacterVocabulary
from chargen.corpus.windows import SlidingWindows, tokenize
from chargen.training.engines.dataset import Executions

K = 3


@pytest.fixture
def plan() -> SlidingWindows:
    vocabulary = CharacterVocabulary.of(["abcdefg"])
    stream = tokenize([Document("abcdefg" * 5), Document("gfedcba")], vocabulary)
    return SlidingWindows(stream, context_length=4, stride=3, batch_size=2, last=False, seed=1)


@pytest.mark.parametrize("same_epoch", [False, True])
def test_executions_are_the_batches_epoch_after_epoch(plan: SlidingWindows, same_epoch: bool) -> None:
    assert plan.num_steps % K  # the last execution of an epoch is a short one
    executions = Executions(plan, steps=K, same_epoch=same_epoch)
    for epoch in range(2):
        step = 0
        while step < plan.num_steps:
            taken = executions.take(epoch, step)
            for batch in zip(*taken, strict=True):
                for made, array in zip(batch, plan.batch(0 if same_epoch else epoch, step), strict=True):
                    np.testing.assert_array_equal(made, array)
                step += 1
        assert step == plan.num_steps


def test_they_can_be_taken_from_any_step_on(plan: SlidingWindows) -> None:
    executions = Executions(plan, steps=K)
    executions.take(0, 0)
    for epoch, step in ((1, 2), (0, 1), (0, 0)):  # not what was made ahead
        np.testing.assert_array_equal(executions.take(epoch, step).inputs[0], plan.batch(epoch, step).inputs)

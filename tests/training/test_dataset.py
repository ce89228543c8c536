import numpy as np
import pytest

from chargen.corpus.documents import Document
from chargen.corpus.vocabulary import CharacterVocabulary
from chargen.corpus.windows import SlidingWindows, tokenize
from chargen.training.backend import load_backend

load_backend()

from chargen.training.dataset import num_executions, repeated_data, training_data  # noqa: E402

K = 3


@pytest.fixture
def plan() -> SlidingWindows:
    vocabulary = CharacterVocabulary.of(["abcdefg"])
    stream = tokenize([Document("abcdefg" * 5), Document("gfedcba")], vocabulary)
    return SlidingWindows(stream, context_length=4, stride=3, batch_size=2, last=False, seed=1)


def test_training_reads_epoch_after_epoch_in_executions_of_several_steps(plan: SlidingWindows) -> None:
    executions = num_executions(plan, K)
    assert plan.num_steps % K  # the last execution of an epoch is a short one
    expected = [(epoch, step) for epoch in range(2) for step in range(plan.num_steps)]
    given = []
    for execution in training_data(plan, steps_per_execution=K).take(2 * executions).as_numpy_iterator():
        given += list(zip(*execution, strict=True))
    assert len(given) == len(expected)
    for batch, place in zip(given, expected, strict=True):
        for made, array in zip(batch, plan.batch(*place), strict=True):
            np.testing.assert_array_equal(made, array)


def test_validation_reads_the_first_epoch_again_and_again(plan: SlidingWindows) -> None:
    executions = num_executions(plan, K)
    given = list(repeated_data(plan, steps_per_execution=K).take(2 * executions).as_numpy_iterator())
    for first, second in zip(given[:executions], given[executions:], strict=True):
        np.testing.assert_array_equal(first[0], second[0])


def test_autotuning_is_off_since_it_keeps_fit_from_returning(plan: SlidingWindows) -> None:
    assert training_data(plan).options().autotune.enabled is False

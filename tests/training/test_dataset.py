import numpy as np
import pytest

from chargen.corpus.vocabulary import CharacterVocabulary
from chargen.corpus.windows import SlidingWindows, tokenize
from chargen.training.backend import load_backend

load_backend()

from chargen.training.dataset import repeated_batches, training_batches  # noqa: E402


@pytest.fixture
def plan() -> SlidingWindows:
    vocabulary = CharacterVocabulary.of(["abcdefg"])
    stream = tokenize(["abcdefg" * 5, "gfedcba"], vocabulary)
    return SlidingWindows(stream, context_length=4, stride=3, batch_size=5, last=False, seed=1)


def test_training_reads_epoch_after_epoch(plan: SlidingWindows) -> None:
    steps = plan.num_steps
    for number, batch in enumerate(training_batches(plan).take(2 * steps + 1).as_numpy_iterator()):
        for made, expected in zip(batch, plan.batch(*divmod(number, steps)), strict=True):
            np.testing.assert_array_equal(made, expected)


def test_validation_reads_the_first_epoch_again_and_again(plan: SlidingWindows) -> None:
    batches = list(repeated_batches(plan).take(2 * plan.num_steps).as_numpy_iterator())
    for first, second in zip(batches[: plan.num_steps], batches[plan.num_steps :], strict=True):
        np.testing.assert_array_equal(first[0], second[0])


def test_autotuning_is_off_since_it_keeps_fit_from_returning(plan: SlidingWindows) -> None:
    assert training_batches(plan).options().autotune.enabled is False

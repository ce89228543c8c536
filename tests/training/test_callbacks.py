import numpy as np
import pytest

from chargen.config import NetworkConfig, TrainingConfig
from chargen.corpus.vocabulary import CharacterVocabulary
from chargen.training.backend import load_backend

load_backend()

import keras  # noqa: E402

from chargen.training.callbacks import (  # noqa: E402
    Interruption,
    ResetStates,
    TrainingInterrupted,
    corpus_prompt,
    sample_layout,
)
from chargen.training.model import build_model, compile_model  # noqa: E402


def test_states_are_reset_before_each_epoch_and_each_validation() -> None:
    model = build_model(NetworkConfig(hidden_size=5, embedding_size=4), vocab_size=7, context_length=3, batch_size=2)
    compile_model(model, TrainingConfig())
    ids = np.array([[1, 2, 3], [4, 5, 6]])
    fresh = keras.ops.convert_to_numpy(model(ids))
    callback = ResetStates()
    callback.set_model(model)
    for reset in (lambda: callback.on_epoch_begin(1), callback.on_test_begin):
        carried = keras.ops.convert_to_numpy(model(ids))
        assert not np.allclose(carried, fresh)
        reset()
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(model(ids)), fresh)


def test_a_requested_signal_interrupts_between_steps_of_training_and_validation() -> None:
    requested: list[int] = []
    interruption = Interruption(lambda: requested[0] if requested else None)
    interruption.on_train_batch_begin(0)
    interruption.on_test_batch_begin(0)
    requested.append(2)
    for begin in (interruption.on_train_batch_begin, interruption.on_test_batch_begin):
        with pytest.raises(TrainingInterrupted) as interrupted:
            begin(1)
        assert interrupted.value.signal_number == 2


def test_the_layout_is_the_classic_one() -> None:
    assert sample_layout(3, [(3, "Ha", 0.5, "Harold"), (3, "Ha", 1.2, "Haxq")]).splitlines() == [
        "----- Generating text after epoch 3",
        "----- diversity: 0.5",
        '----- Generating with seed: "Ha"',
        "Harold",
        "",
        "----- diversity: 1.2",
        '----- Generating with seed: "Ha"',
        "Haxq",
    ]


def test_prompts_come_from_the_corpus() -> None:
    rng = np.random.default_rng(0)
    vocabulary = CharacterVocabulary("HIabcdefghlor")

    def prompts(text: str, *, by_line: bool) -> set[str]:
        ids = [corpus_prompt(text, vocabulary, by_line=by_line, length=5, rng=rng) for _ in range(40)]
        return set(map(vocabulary.decode, ids))

    assert prompts("Harold", by_line=True) == {"Ha"}
    assert prompts("abcdefgh", by_line=False) == {"abcde", "bcdef", "cdefg"}

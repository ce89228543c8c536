import numpy as np
import pytest

from chargen.config import NetworkConfig, TrainingConfig
from chargen.training.backend import load_backend
from chargen.training.signals import RequestedSignal, TrainingInterrupted

load_backend()

import keras  # noqa: E402

from chargen.training.callbacks import Interruption, ResetStates  # noqa: E402
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
    requested = RequestedSignal()
    interruption = Interruption(requested.check)
    interruption.on_train_batch_begin(0)
    interruption.on_test_batch_begin(0)
    requested.handle(2, None)
    for begin in (interruption.on_train_batch_begin, interruption.on_test_batch_begin):
        with pytest.raises(TrainingInterrupted) as interrupted:
            begin(1)
        assert interrupted.value.signal_number == 2

"""What happens around Keras's training steps.

Batch hooks use `on_train_batch_begin`, never `on_train_batch_end`: the latter makes Keras read the loss back after each step.
"""

from collections.abc import Callable

import keras

from chargen.training.export import export_network
from chargen.training.plan import TrainingPlan
from chargen.training.recording import EpochRecorder


class ResetStates(keras.callbacks.Callback):
    """Start every epoch and every validation of a stateful model from the zero state."""

    def on_epoch_begin(self, epoch: int, logs: object = None) -> None:
        self.model.reset_states()

    def on_test_begin(self, logs: object = None) -> None:
        self.model.reset_states()


class Interruption(keras.callbacks.Callback):
    """Look between two steps whether training is to end."""

    def __init__(self, check: Callable[[], None]) -> None:
        super().__init__()
        self._check = check

    def on_train_batch_begin(self, batch: int, logs: object = None) -> None:
        self._check()

    def on_test_batch_begin(self, batch: int, logs: object = None) -> None:
        self._check()


class Recording(keras.callbacks.Callback):
    """Tell the recorder of every epoch, and do as its progress says."""

    def __init__(self, plan: TrainingPlan, recorder: EpochRecorder) -> None:
        super().__init__()
        self._plan, self._recorder = plan, recorder

    def on_train_begin(self, logs: object = None) -> None:
        self._recorder.begins()

    def on_epoch_begin(self, epoch: int, logs: object = None) -> None:
        self._recorder.epoch_begins(epoch + 1)

    def on_train_batch_begin(self, batch: int, logs: object = None) -> None:
        if self._recorder.wants_loss and batch > 0:
            cross_entropy = float(self.model.get_metrics_result()["cross_entropy"])
            self._recorder.step(batch * self._plan.steps_per_execution, cross_entropy)

    def on_test_begin(self, logs: object = None) -> None:
        self._recorder.validation_begins()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        assert logs is not None
        self._recorder.epoch_ends(
            epoch + 1,
            cross_entropy=float(logs["cross_entropy"]),
            validation=float(logs["val_cross_entropy"]) if "val_cross_entropy" in logs else None,
            rate=float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate)),
            network=export_network(self.model, self._plan),
        )
        progress, training = self._recorder.progress, self._plan.settings.training
        self.model.stop_training = progress.stop
        if training.schedule == "plateau":
            self.model.optimizer.learning_rate = training.learning_rate * progress.rate_factor

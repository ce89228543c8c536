"""What a recorder writes, and what it decides."""

import math
from pathlib import Path

import pytest

from chargen.corpus.corpus import load_corpus
from chargen.errors import RunError, TrainingError
from chargen.runs.directory import RunDirectory
from chargen.settings.layers import resolve
from chargen.tracking.tracker import Trackers
from chargen.training.devices.ranks import ALONE, Ranks
from chargen.training.loop import train
from chargen.training.numpy_trainer import NumpyTrainer
from chargen.training.planning.text_plan import TextPlan, make_plan
from chargen.training.recording.display import Display
from chargen.training.recording.text_recorder import TextRecorder


class Second(Ranks):
    """The second of several processes."""

    rank = 1


def plan_of(text: Path) -> TextPlan:
    small = {
        "corpus": {"files": [str(text)]},
        "network": {"hidden_size": 5, "embedding_size": 3},
        "training": {"backend": "numpy", "batch_size": 4, "context_length": 8, "epochs": 3, "checkpoint_steps": 2},
        "samples": {"sample_length": 9},
    }
    settings = resolve(("test", small)).settings
    return make_plan(settings, load_corpus(settings.corpus))


def recorder_of(plan: TextPlan, folder: Path, *, leads: bool = True) -> TextRecorder:
    folder.mkdir()
    return TextRecorder(plan, RunDirectory(folder), Display(verbosity=0), Trackers({}), leads=leads)


def test_a_process_that_follows_decides_the_same_and_writes_nothing(prose: Path, tmp_path: Path) -> None:
    plan = plan_of(prose)
    first, second = (recorder_of(plan, tmp_path / name, leads=name == "first") for name in ("first", "second"))
    for recorder, ranks in ((first, ALONE), (second, Second())):
        assert train(NumpyTrainer(plan), plan, recorder, ranks=ranks) is None
    assert [one.row() for one in second.results] == [one.row() for one in first.results]
    assert second.progress.facts() == first.progress.facts()
    assert first.run.model.exists()
    assert not list(second.run.path.iterdir())


def test_a_loss_that_is_not_finite_ends_training(prose: Path, tmp_path: Path) -> None:
    plan = plan_of(prose)
    recorder, network = recorder_of(plan, tmp_path / "run"), NumpyTrainer(plan).network()
    with pytest.raises(TrainingError, match="the loss is nan in epoch 1"):
        recorder.epoch_ends(1, {"cross_entropy": 2.0}, {"cross_entropy": math.nan}, learning_rate=0.1, network=network)
    assert not recorder.results
    assert not list(recorder.run.path.iterdir())


def test_a_file_that_cannot_be_written_is_named(prose: Path, tmp_path: Path) -> None:
    plan = plan_of(prose)
    recorder, trainer = recorder_of(plan, tmp_path / "run"), NumpyTrainer(plan)
    recorder.run.last_model.mkdir()
    with pytest.raises(RunError, match="cannot write the model of "):
        recorder.interrupted(trainer.network())

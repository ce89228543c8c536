"""Several networks of one text: seeds of their own, and one held-out text."""

import json
import signal
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result

import chargen
from chargen.errors import ConfigError
from chargen.network.model_file import load_model
from chargen.runs.directory import RunDirectory
from chargen.runs.trained_text import read_trained_text
from chargen.settings.layers import keyword_layer
from chargen.training import fitting
from chargen.training.members import MembersTraining
from chargen.training.planning.text_plan import TextPlan
from chargen.training.speed import seconds_after_training
from chargen.training.start import plan_training
from chargen.training.text_task import TextTask

Invoke = Callable[..., Result]

TEXT = (
    "".join(f"The {animal} {verb}.\n" for animal in ("cat", "dog", "hen", "cow") for verb in ("sat", "ran", "hid", "ate")) * 6
)
TINY = {"cell": "gru", "hidden_size": 6, "epochs": 2, "backend": "numpy", "quiet": True, "sample_every": 0, "memory": False}


@pytest.fixture
def text(in_folder: Path) -> str:
    (in_folder / "text.txt").write_text(TEXT, encoding="utf-8")
    return "text.txt"


def test_another_network_seed_changes_the_network_but_not_what_is_held_out(text: str) -> None:
    runs = [chargen.train(text, network_seed=seed, **TINY) for seed in (None, 1, 2)]
    same, also, other = [load_model(run.path / "model.safetensors") for run in runs]
    held_out = [
        read_trained_text(RunDirectory(run.path), model).held_out for run, model in zip(runs, (same, also, other), strict=True)
    ]
    assert held_out[0] == held_out[1] == held_out[2]
    weights = [model.one_network.weights["output.kernel"] for model in (same, also, other)]
    np.testing.assert_array_equal(weights[0], weights[1])
    assert np.abs(weights[0] - weights[2]).max() > 0.01


MEMBERS = TINY | {"members": 3, "memory": True, "sample_every": 2, "sample_length": 20}


def model_bytes(run: chargen.Run) -> bytes:
    return (run.path / "model.safetensors").read_bytes()


def test_members_are_trained_one_after_the_other_and_averaged(text: str, invoke: Invoke) -> None:
    run = chargen.train(text, **MEMBERS)
    model = load_model(run.path / "model.safetensors")
    members = [chargen.Run(run.path / "members" / str(number)) for number in (1, 2, 3)]
    for number, member in enumerate(members, start=1):
        own, found = (load_model(path) for path in (run.path / "model.safetensors", member.path / "model.safetensors"))
        np.testing.assert_array_equal(
            own.member(number).one_network.weights["output.kernel"], found.one_network.weights["output.kernel"]
        )
    alone = chargen.train(text, **TINY)
    np.testing.assert_array_equal(
        model.member(1).one_network.weights["output.kernel"],
        load_model(alone.path / "model.safetensors").one_network.weights["output.kernel"],
    )
    assert [row["epoch"] for row in run.history] == [1, 2, 3, 4, 5, 6]
    assert [row["bits_per_character"] for row in run.history[2:4]] == [row["bits_per_character"] for row in members[1].history]
    assert model.has_memory
    assert "3 networks, each gru 1x6" in run._repr_html_()
    assert "6 of 6 epochs" in run._repr_html_()
    for command in (
        ["runs"],
        ["report", run.path],
        ["plot", run.path],
        ["compare", run.path, alone.path],
        ["summary", run.path],
    ):
        done = invoke(*command)
        assert done.exit_code == 0, done.stderr


def test_the_reported_figure_is_that_of_the_average_and_of_evaluate(text: str, invoke: Invoke) -> None:
    options = ["--members", 2, "--backend", "numpy", "--cell", "gru", "--hidden-size", 6, "--epochs", 2, "--no-memory"]
    done = invoke("train", text, *options, "--json")
    assert done.exit_code == 0, done.stderr
    assert "network 2 of 2" in done.stderr
    trained = json.loads(done.stdout)
    assert trained["networks"] == 2
    measured = json.loads(invoke("evaluate", trained["run"], "--no-baselines", "--json").stdout)["results"][0]
    assert trained["bits_per_character"] == pytest.approx(measured["bits_per_character"], rel=1e-9)
    assert f"2 networks together {measured['bits_per_character']:.3f} bits/char" in done.stderr


class Interrupt:
    """A Keras callback, by its methods, that sends SIGINT at the end of an epoch of all networks, counted from 1."""

    def __init__(self, epoch: int) -> None:
        self._left = epoch

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_, **__: None

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        self._left -= 1
        if not self._left:
            signal.raise_signal(signal.SIGINT)


def test_a_network_is_a_run_of_its_own(text: str, in_folder: Path, invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    run = chargen.train(text, **MEMBERS)
    (in_folder / "elsewhere").mkdir()
    monkeypatch.chdir(in_folder / "elsewhere")  # from where the text is found beside `runs`
    member = in_folder / run.path / "members" / "2"
    figures = [
        json.loads(invoke("evaluate", *one, "--no-baselines", "--json").stdout)["results"]
        for one in ([member], [in_folder / run.path, "--member", 2, "--memory", 0])
    ]
    assert figures[0] == figures[1]
    monkeypatch.chdir(in_folder)
    repeated = chargen.train(config=member / "config.toml", quiet=True)
    assert model_bytes(repeated) == (member / "model.safetensors").read_bytes()


@pytest.mark.parametrize("epoch", [1, 2, 3, 6])
def test_a_stopped_training_goes_on_to_the_same_bytes(epoch: int, text: str) -> None:
    whole = chargen.train(text, **MEMBERS)
    with pytest.raises(KeyboardInterrupt):
        chargen.train(text, **MEMBERS, callbacks=[Interrupt(epoch)])
    stopped = next(path for path in Path("runs").iterdir() if path != whole.path)
    assert len(load_model(stopped / "model.safetensors").network.members) == (epoch + 1) // 2
    resumed = chargen.resume(quiet=True)
    assert resumed.path.name == stopped.name
    assert model_bytes(resumed) == model_bytes(whole)
    for name in ("metrics.csv", "samples.jsonl"):
        assert (resumed.path / name).read_bytes() == (whole.path / name).read_bytes()
    assert chargen.resume(quiet=True) == resumed
    assert model_bytes(resumed) == model_bytes(whole)


def test_other_settings_cannot_go_on(text: str) -> None:
    run = chargen.train(text, **MEMBERS)
    with pytest.raises(ConfigError, match="epochs cannot change for several networks"):
        chargen.resume(run.path, epochs=9, quiet=True)


def test_time_is_shared_by_the_networks(text: str, invoke: Invoke) -> None:
    shown = [
        invoke("config", "show", text, "--minutes", minutes, *options)
        for minutes, options in ((30, ["--members", 3]), (10, []))
    ]
    together, alone = (done.stdout for done in shown)
    assert "members = 3" in together
    assert "3 networks, one after the other" in together
    assert [line for line in together.splitlines() if "members" not in line] == [
        line for line in alone.splitlines() if "members" not in line
    ]


@pytest.mark.parametrize("members", [1, 3])
def test_each_network_has_its_share_of_the_minutes(members: int, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Here a pass over the text takes 4 s, whatever the network is."""
    monkeypatch.setattr(fitting, "seconds_per_epoch", lambda trainer, plan, seconds: 4.0)
    layer = keyword_layer([text], {"members": members, "backend": "numpy", "hidden_size": 4})
    began = time.perf_counter()
    plan = plan_training([layer], runs_dir=Path("runs"), minutes=3, verbosity=0).plan
    steps = len(plan.parts.training[0].ids) / (plan.windows.batch_size * plan.windows.context_length)  # of a pass
    passes = (180 / members - seconds_after_training(plan)) / 4
    assert sum(plan.settings.training.schedule_steps) / steps == pytest.approx(passes, rel=0.1)
    assert plan.deadline
    assert plan.deadline.ends_by - began == pytest.approx(180 / members, rel=0.1)


@pytest.mark.parametrize("share", [0.0, 0.1])
def test_the_last_network_takes_the_time_that_measuring_all_does_not(
    share: float, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here a token of one network takes 2 ms to measure."""
    monkeypatch.setattr(MembersTraining, "_combined", lambda training: None)
    monkeypatch.setattr(MembersTraining, "_seconds_per_token", lambda *_: 0.002)
    layer = keyword_layer([text], {"members": 2, "backend": "numpy", "hidden_size": 4, "validation_split": share})
    prepared = plan_training([layer], runs_dir=Path("runs"), minutes=3, verbosity=0)
    plan, ends_by = prepared.plan, time.perf_counter() + 180
    assert isinstance(plan, TextPlan)
    assert plan.deadline
    training = MembersTraining(TextTask(plan), RunDirectory(Path("run")), ends_by=ends_by, verbosity=0)
    held_out = plan.parts.validation.num_targets if plan.parts.validation else 0
    assert (held_out > 0) == (share > 0)
    expected = ends_by - seconds_after_training(plan) - 2 * 0.002 * held_out
    assert training._deadline(plan.deadline, 2).ends_by == pytest.approx(expected, abs=0.1)


@pytest.mark.parametrize(
    ("options", "reason"), [(["--task", "classify"], "training.members is for"), (["--distribute"], "--distribute trains one")]
)
def test_what_trains_one_network_refuses_several(options: list[str], reason: str, text: str, invoke: Invoke) -> None:
    done = invoke("train", text, "--members", 2, *options)
    assert (done.exit_code, reason in done.stderr) == (2, True)


def test_a_tracker_shows_each_network_with_the_name_of_its_run(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "text-lstm-1")
    assert (run.title, run.member(2).title, run.member(2).name) == ("text-lstm-1", "text-lstm-1-2", "2")

from pathlib import Path
from typing import Any

import pytest

from chargen.errors import ConfigError
from chargen.settings.layers import resolve
from chargen.settings.schema import COMMAND_LINE, Mapped
from chargen.training import fitting
from chargen.tuning.space import Range, sections
from chargen.tuning.task import DEFAULT_MINUTES, TRIAL_EPOCHS, TuningTask, check_same, make_task

PROSE = "the cat sat on the mat.\nthe dog sat on the log.\n"


@pytest.fixture
def prose(tmp_path: Path) -> Path:
    path = tmp_path / "prose.txt"
    path.write_text(PROSE * 500, encoding="utf-8")
    return path


def task_of(path: Path, *, search: tuple[str, ...] = (), minutes: float | None = None, **given: dict[str, Any]) -> TuningTask:
    layer: Mapped = {"corpus": {"files": [str(path)]}, **given}
    return make_task([(COMMAND_LINE, layer)], minutes=minutes, search=search, configured=False)


def test_a_trial_takes_a_minute_unless_something_else_is_said(prose: Path) -> None:
    assert task_of(prose).minutes == DEFAULT_MINUTES
    assert task_of(prose, minutes=3).minutes == 3
    assert task_of(prose, training={"epochs": 4}).minutes is None


def test_what_the_machine_decides_is_decided_once(prose: Path) -> None:
    """Settings that are not searched are those of `chargen train`, in every trial and on every machine."""
    task = task_of(prose, search=("training.learning_rate=1e-3..1e-1",))
    _, fixed, first = task.prepare()
    assert fixed["training.stateful"] is True
    assert {"network.hidden_size", "training.context_length", "training.batch_size"} <= fixed.keys()
    assert first == {"training.learning_rate": 0.014}


def test_streams_are_kept_where_the_context_length_is_searched(prose: Path) -> None:
    """`chargen train` itself would not choose streams for a given context length."""
    task = task_of(prose, search=("training.context_length=8,16",))
    _, fixed, _ = task.prepare()
    plan = task.plan(sections({**fixed, "training.context_length": 8}), epochs=None)
    assert plan.settings.training.stateful
    assert plan.settings.training.context_length == 8


def test_the_first_trial_is_left_out_where_it_would_lie_outside(prose: Path) -> None:
    _, _, first = task_of(prose, search=("training.learning_rate=0.1..1",)).prepare()
    assert first is None


def test_a_task_is_told_to_other_processes_whole(prose: Path) -> None:
    task = task_of(
        prose, minutes=2, search=("network.dropout=0..0.5/0.1", "network.cell=lstm,gru"), samples={"diversity": (0.5,)}
    )
    read = TuningTask.from_json(task.to_json())
    assert read.requested == task.requested
    assert read.identity() == task.identity()
    assert resolve(*read.layers) == resolve(*task.layers)


def test_nothing_left_to_search_is_told(prose: Path) -> None:
    network = {"hidden_size": 8, "num_layers": 1, "dropout": 0.1, "weight_drop": 0.1}
    training = {"learning_rate": 0.1, "batch_size": 4, "context_length": 9}
    with pytest.raises(ConfigError, match="all settings that are searched by default are given"):
        task_of(prose, network=network, training=training).prepare()


def test_trials_of_so_many_minutes_are_measured_at_the_same_shares_of_them(
    prose: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And on the same text, with any number of steps per epoch. Here a weight costs 10 ms in each pass over the text."""
    monkeypatch.setattr(fitting, "seconds_per_epoch", lambda _, plan, seconds: plan.num_parameters / 100)
    task = task_of(prose, minutes=10, training={"backend": "numpy"})
    plans = [task.plan({"network": {"hidden_size": size}}) for size in (4, 64)]
    assert [plan.settings.training.epochs for plan in plans] == [TRIAL_EPOCHS] * 2
    assert plans[0].training.num_steps > plans[1].training.num_steps
    measured = [plan.validation.batches.num_targets for plan in plans if plan.validation]
    assert measured[0] == measured[1] > 0


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"training": {"task": "classify"}}, "only networks that write text"),
        ({"training": {"start_from": "other"}}, "trials start from random weights"),
        ({"training": {"members": 3}}, "a trial trains one network"),
        ({"corpus": {"files": ["-"]}}, "stdin can be read only once"),
        ({"network": {"cell": "gru"}}, r"network.cell is both searched and given \(command line\)"),
    ],
)
def test_what_cannot_be_tuned_is_told(prose: Path, given: dict[str, Any], expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        task_of(prose, search=("network.cell=lstm,gru",), **given)


def test_a_study_goes_on_as_it_was_begun(prose: Path) -> None:
    search = ("network.hidden_size=4..8",)
    begun = task_of(prose, minutes=2, search=search).identity()
    check_same(task_of(prose, minutes=2, search=search).identity(), begun, "runs/s")
    differing = {
        "minutes is 1, but was 2": task_of(prose, minutes=1, search=search),
        "network.cell is gru, but was open": task_of(prose, minutes=2, search=search, network={"cell": "gru"}),
        "network.hidden_size is 4..9, but was 4..8": task_of(prose, minutes=2, search=("network.hidden_size=4..9",)),
        "network.hidden_size is open, but was 4..8": task_of(prose, minutes=2),
    }
    for expected, task in differing.items():
        with pytest.raises(ConfigError) as caught:
            check_same(task.identity(), begun, "runs/s")
        assert caught.value.message == f"the study runs/s was started with other settings: {expected}"
    other = prose.with_name("other.txt")
    other.write_text(PROSE * 400, encoding="utf-8")
    with pytest.raises(ConfigError, match="its text is different"):
        check_same(task_of(other, minutes=2, search=search).identity(), begun, "runs/s")


def test_the_same_text_elsewhere_is_the_same(prose: Path, tmp_path: Path) -> None:
    """On another machine the text may have another path."""
    moved = tmp_path / "elsewhere.txt"
    moved.write_bytes(prose.read_bytes())
    check_same(task_of(moved).identity(), task_of(prose).identity(), "runs/s")


def test_ranges_of_the_default_are_of_numbers_that_settings_may_have(prose: Path) -> None:
    space, _, first = task_of(prose).prepare()
    assert first is not None
    for name, one in space.items():
        if isinstance(one, Range):
            assert type(one.low) is type(first[name])

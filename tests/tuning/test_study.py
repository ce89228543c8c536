import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("optuna", reason="optuna is not installed: pip install 'chargen[tune]'")

from chargen.errors import RunError
from chargen.tuning.space import Choices, Range, Space
from chargen.tuning.study import BEST, DIED, JOURNAL, MAX_FAULTS, UNPRUNED_TRIALS, Study, Trial

SPACE: Space = {
    "training.learning_rate": Range(low=1e-4, high=1e-2),
    "network.hidden_size": Range(low=8, high=64, step=8),
    "network.cell": Choices(("lstm", "gru")),
}
MANY = 1000

# A process that takes a trial and is killed.
KILLED = """
import os, signal, sys
from pathlib import Path
from chargen.tuning.space import parse_space
from chargen.tuning.study import Study
folder, *specs = sys.argv[1:]
trial = Study(Path(folder)).take(parse_space(specs), most=9, random_seed=1)
print(trial.run.name, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""

# A process that is killed while it writes to the journal.
KILLED_WRITING = KILLED.replace("trial = Study", "os.fsync = lambda file: os.kill(os.getpid(), signal.SIGKILL)\ntrial = Study")


def take(study: Study, *, most: int = MANY) -> Trial | None:
    return study.take(SPACE, most=most, random_seed=1)


def taken(study: Study) -> Trial:
    trial = take(study)
    assert trial is not None
    trial.run.config.write_text("", encoding="utf-8")
    return trial


def finished(study: Study, *figures: float) -> Trial:
    trial = taken(study)
    trial.report(figures)
    study.finish(trial, min(figures))
    return trial


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return Study(tmp_path / "study")


def reopened(study: Study) -> Study:
    return Study(study.folder)


def test_values_are_among_what_is_searched_and_every_trial_draws_its_own(study: Study) -> None:
    """Also if each is drawn by a separate process."""
    trials = [taken(reopened(study)) for _ in range(4)]
    for trial in trials:
        assert trial.values.keys() == SPACE.keys()
        assert all(value in SPACE[name] for name, value in trial.values.items())
    assert len({trial.values["training.learning_rate"] for trial in trials}) == 4


def test_the_same_seed_draws_the_same_trials(study: Study, tmp_path: Path) -> None:
    assert taken(study).values == taken(Study(tmp_path / "other")).values


def test_no_trial_is_drawn_twice(study: Study) -> None:
    """Equal settings give equal figures."""
    space: Space = {"network.cell": Choices(("lstm", "gru")), "network.num_layers": Range(low=1, high=3)}
    drawn = []
    while trial := study.take(space, most=MANY, random_seed=1):
        drawn.append(tuple(trial.values.values()))
        trial.run.config.touch()
        study.finish(trial, 1.0)
    assert sorted(drawn) == [(cell, layers) for cell in ("gru", "lstm") for layers in (1, 2, 3)]
    assert [result.run.name for result in study.results()] == [f"trial-{number:03}" for number in range(6)]


def test_trials_are_counted_over_all_processes(study: Study) -> None:
    finished(study, 3.0)
    running = taken(reopened(study))
    assert take(study, most=2) is None
    study.requeue(running, fault=False)
    assert take(study, most=2) is not None


def test_the_first_trial_is_the_one_given_and_facts_are_kept(study: Study) -> None:
    first = {"training.learning_rate": 0.004, "network.hidden_size": 16, "network.cell": "gru"}
    study.begin(lambda: ({"minutes": 2}, first))
    reopened(study).begin(lambda: pytest.fail("it was begun before"))
    assert reopened(study).facts == {"minutes": 2}
    assert taken(study).values == first


def test_an_interrupted_trial_is_taken_up_again_where_it_was(study: Study) -> None:
    trial = taken(study)
    trial.report([4.0])
    study.requeue(trial, fault=False)
    (waiting,) = study.results()
    assert (waiting.state, waiting.values) == ("waiting", trial.values)
    again = taken(reopened(study))
    assert (again.run, again.values) == (trial.run, trial.values)
    again.report([4.0, 3.0])
    study.finish(again, 3.0)
    (result,) = study.results()
    assert (result.state, result.epochs, result.bits_per_character) == ("finished", 2, 3.0)


def test_a_trial_whose_process_was_killed_is_taken_up_again(study: Study) -> None:
    """Trials of other running processes are not taken."""
    mine = taken(study)
    specs = [f"{name}={one}" for name, one in SPACE.items()]
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(study.folder), *specs], capture_output=True, text=True, check=False
    )
    assert done.returncode == -9, done.stderr
    again = taken(study)
    assert again.run.name == done.stdout.strip() != mine.run.name
    assert sorted(result.state for result in study.results()) == ["running", "running"]


def test_a_trial_that_processes_die_of_is_given_up_in_the_end(study: Study) -> None:
    first = taken(study)
    study.requeue(first, fault=True)
    for _ in range(MAX_FAULTS - 1):
        again = taken(study)
        assert again.run == first.run
        study.requeue(again, fault=True)
    assert taken(study).run != first.run
    (given_up,) = [result for result in study.results() if result.state == "pruned"]
    assert (given_up.run, given_up.reason) == (first.run, DIED)


def test_ctrl_c_is_no_fault(study: Study) -> None:
    first = taken(study)
    study.requeue(first, fault=False)
    for _ in range(MAX_FAULTS + 1):
        again = taken(study)
        assert again.run == first.run
        study.requeue(again, fault=False)


def test_a_trial_worse_than_half_of_the_others_is_told_so_after_some_epochs(study: Study) -> None:
    for number in range(UNPRUNED_TRIALS):
        finished(study, 4.0, 3.0, 2.0 + number / 10)
    bad, good = taken(study), taken(study)
    assert not bad.report([9.0])
    assert not bad.report([9.0, 8.0])
    assert bad.report([9.0, 8.0, 7.0])
    assert not good.report([9.0, 8.0, 2.0])
    study.prune(bad, "too bad")
    (result,) = [one for one in study.results() if one.run == bad.run]
    assert (result.state, result.bits_per_character, result.reason) == ("pruned", 7.0, "too bad")


def test_the_first_trials_are_never_stopped(study: Study) -> None:
    for _ in range(UNPRUNED_TRIALS - 1):
        finished(study, 1.0, 1.0, 1.0)
    assert not taken(study).report([9.0, 9.0, 9.0])


def test_results_come_the_best_first_and_the_best_config_is_kept(study: Study) -> None:
    figures = {finished(study, bits).run.name: bits for bits in (3.0, 2.0, 2.5)}
    assert [result.run.name for result in study.results()] == sorted(figures, key=lambda name: figures[name])
    assert (study.folder / BEST).read_text(encoding="utf-8") == "# trial-001: 2.0000 bits a character\n"


def test_a_trial_that_brought_nothing_is_the_last(study: Study) -> None:
    study.prune(taken(study), "the loss is nan")
    finished(study, 3.0)
    assert [result.bits_per_character for result in study.results()] == [3.0, None]


def test_a_line_that_was_cut_short_is_mended(study: Study) -> None:
    """For example by a full disk; a line appended to it would be lost too, and with it the study."""
    finished(study, 3.0)
    journal = study.folder / JOURNAL
    with journal.open("ab") as file:
        file.write(b'{"op_code": 4, "worker')
    again = reopened(study)
    finished(again, 2.0)
    assert [result.bits_per_character for result in reopened(study).results()] == [2.0, 3.0]
    assert all(json.loads(line) for line in journal.read_text(encoding="utf-8").splitlines())


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").touch()
    with pytest.raises(RunError, match=r"is not a study: it has no study\.journal"):
        Study(tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(RunError, match="cannot make the folder"):
        Study(tmp_path / "study")


def test_a_file_in_the_place_of_the_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match="cannot make the folder"):
        Study(tmp_path / "file")


def test_a_process_killed_while_it_writes_holds_nobody_up(study: Study) -> None:
    relative = os.path.relpath(study.folder)
    killed, other = (
        subprocess.run([sys.executable, "-c", script, relative, "training.learning_rate=1e-4..1e-2"], timeout=60, check=False)
        for script in (KILLED_WRITING, KILLED)
    )
    assert killed.returncode == other.returncode == -signal.SIGKILL
    assert taken(study).run.name

"""chargen tune, with real trainings by the NumPy trainer on a text of a few hundred characters."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from filelock import FileLock

from chargen.runs.directory import RunDirectory

pytest.importorskip("optuna", reason="optuna is not installed: pip install 'chargen[tune]'")

Invoke = Callable[..., Result]

SMALL = ["--backend", "numpy", "--hidden-size", "6", "--embedding", "5", "--context-length", "9", "--sample-length", "5"]
SEARCH = ["--search", "training.learning_rate=1e-4..1e-1"]
PLAIN = ["tune", "text.txt", *SMALL, "--config", "plain"]
TUNE = [*PLAIN, *SEARCH]
EPOCHS = 15  # of a trial that is interrupted after the first


@pytest.fixture
def text(in_folder: Path) -> Path:
    path = in_folder / "text.txt"
    path.write_text("the cat sat on the mat.\nthe dog sat on the log.\n" * 25, encoding="utf-8")
    return path


def tuned(invoke: Invoke, *options: object) -> dict[str, object]:
    result = invoke(*TUNE, *options, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.mark.usefixtures("text")
def test_trials_are_ordinary_runs_and_the_best_is_repeated_by_the_command_told(invoke: Invoke) -> None:
    result = invoke(*TUNE, "--trials", 3, "--epochs", 2)
    assert result.exit_code == 0, result.output
    heading, *rows = result.stdout.splitlines()
    assert heading.split() == ["trial", "state", "epochs", "bits/char", "learning_rate"]
    figures = [float(row.split()[3]) for row in rows]
    assert figures == sorted(figures)
    assert {row.split()[0] for row in rows} == {"trial-000", "trial-001", "trial-002"}
    best = RunDirectory(Path("runs/text-tune", rows[0].split()[0]))
    command = result.stderr.splitlines()[-1].partition("to train with its settings: chargen ")[2]
    assert command == "train --config runs/text-tune/best.toml"
    repeated = invoke(*command.split(), "-q")
    assert RunDirectory(Path(repeated.stdout.strip())).model.read_bytes() == best.model.read_bytes()
    assert invoke("sample", "--run", best.path, "--length", 5).exit_code == 0
    assert "trial-002" in invoke("runs", "--runs-dir", best.path.parent).stdout
    assert "trial" not in invoke("runs").stdout


@pytest.mark.usefixtures("text")
def test_a_trial_worse_than_half_of_the_others_is_stopped(invoke: Invoke) -> None:
    rates = "1e-6,1e-5,0.02,0.03,0.04,0.05,0.06"
    result = invoke(*PLAIN, "--search", f"training.learning_rate={rates}", "--trials", 7, "--epochs", 4, "--json")
    assert result.exit_code == 0, result.output
    trials = json.loads(result.stdout)["trials"]
    stopped = [one for one in trials if one["state"] == "pruned"]
    assert stopped
    for one in stopped:
        assert (one["epochs"], one["reason"]) == (3, "worse than half of the others after epoch 3")
        assert one["settings"]["training.learning_rate"] < 1e-4
        assert RunDirectory(Path(one["run"])).model.is_file()
    assert all(one["epochs"] == 4 for one in trials if one not in stopped)


@pytest.mark.usefixtures("text")
def test_the_same_command_goes_on_with_the_study(invoke: Invoke) -> None:
    first = tuned(invoke, "--trials", 2, "--epochs", 1)
    assert len(first["trials"]) == 2
    model = Path(first["trials"][1]["run"], "model.safetensors")
    written = model.stat().st_mtime_ns
    again = tuned(invoke, "--trials", 2, "--epochs", 1)
    assert again == first
    more = tuned(invoke, "--trials", 3, "--epochs", 1)
    assert len(more["trials"]) == 3
    assert model.stat().st_mtime_ns == written


@pytest.mark.usefixtures("text")
def test_json_tells_of_every_trial(invoke: Invoke) -> None:
    outcome = tuned(invoke, "--trials", 1, "--epochs", 1, "--search", "network.cell=gru")
    (trial,) = outcome["trials"]
    assert outcome["best"] == trial
    assert outcome["command"] == "chargen train --config runs/text-tune/best.toml"
    assert (outcome["study"], outcome["interrupted"]) == ("runs/text-tune", False)
    assert (trial["trial"], trial["state"], trial["epochs"], trial["reason"]) == ("trial-000", "finished", 1, None)
    assert trial["settings"].keys() == {"training.learning_rate", "network.cell"}
    assert 0 < trial["bits_per_character"] < 10


@pytest.mark.usefixtures("text")
def test_settings_that_do_not_go_together_are_given_up_and_told(invoke: Invoke, capfd: pytest.CaptureFixture[str]) -> None:
    result = invoke(*PLAIN, "--trials", 3, "--epochs", 1, "--search", "network.layer_norm=true,false")
    assert result.exit_code == 0, result.output
    rows = [row.split() for row in result.stdout.splitlines()[1:]]
    assert {(state, norm) for _, state, *_, norm in rows} == {("finished", "no"), ("pruned", "yes")}
    assert "given up, network.layer_norm is applied between recurrent layers" in capfd.readouterr().err


@pytest.mark.usefixtures("text")
def test_a_loss_that_is_no_longer_finite_is_given_up(invoke: Invoke) -> None:
    """Where all trials are, the exit code says so."""
    options = ("--optimizer", "sgd", "--clip-norm", 0, "--activation", "relu", "--cell", "simplernn")
    result = invoke(*PLAIN, "--search", "training.learning_rate=90..100", "--trials", 2, "--epochs", 3, *options)
    assert result.exit_code == 1, result.output
    assert result.stderr.splitlines()[-1].startswith("no trial is finished; the loss is ")
    assert [row.split()[1] for row in result.stdout.splitlines()[1:]] == ["pruned"] * 2


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--search", "network.cell=transformer"], "expected one of simplernn, dense, lstm, mlstm, gru"),
        (["--search", "network.cell=lstm,gru", "--cell", "gru"], "network.cell is both searched and given (command line)"),
        (["--minutes", "0"], "--minutes is 0, expected a number above 0"),
        (["--minutes", "1", "--epochs", "3"], "--minutes and training.epochs both set the length of training"),
        (["--trials", "0"], "0 is not in the range x>=1"),
        (["--context-length", "5000"], "one window needs 5001"),
        (["--task", "classify"], "chargen tune supports only networks that write text"),
    ],
    ids=str,
)
@pytest.mark.usefixtures("text")
def test_bad_input_is_one_line(invoke: Invoke, options: list[str], told: str) -> None:
    result = invoke("tune", "text.txt", *options)
    assert result.exit_code == 2
    (line,) = result.stderr.splitlines()
    assert told in line
    assert not Path("runs").exists()


@pytest.mark.usefixtures("text")
def test_a_study_goes_on_as_it_was_begun(invoke: Invoke) -> None:
    tuned(invoke, "--trials", 1, "--epochs", 1)
    result = invoke(*TUNE, "--trials", 2, "--epochs", 2)
    assert result.exit_code == 2
    told = "the study runs/text-tune was started with other settings: training.epochs is 2, but was 1"
    assert told in result.stderr
    assert invoke(*TUNE, "--trials", 1, "--epochs", 2, "--study", "other").exit_code == 0


@pytest.mark.usefixtures("text")
def test_without_optuna_one_line_says_what_to_install(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    for name in ("chargen.tuning.study", "chargen.tuning.tuner"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    result = invoke(*TUNE, "--epochs", 1)
    assert result.exit_code == 2
    assert result.stderr == "chargen: chargen tune needs optuna; pip install 'chargen[tune]'\n"


def started(*options: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "chargen", *TUNE, *map(str, options), "--json"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.usefixtures("text")
def test_two_processes_share_a_study() -> None:
    processes = [started("--trials", 6, "--epochs", 2) for _ in range(2)]
    ended = [(*process.communicate(timeout=300), process.returncode) for process in processes]
    assert [code for _, _, code in ended] == [0, 0], ended
    told = [[line.split(":")[0] for line in err.splitlines() if ": learning_rate " in line] for _, err, _ in ended]
    assert sorted(told[0] + told[1]) == [f"trial-{number:03}" for number in range(6)]
    last = max((json.loads(out) for out, _, _ in ended), key=lambda outcome: sum(one["epochs"] for one in outcome["trials"]))
    assert len(last["trials"]) == 6
    assert len({one["settings"]["training.learning_rate"] for one in last["trials"]}) == 6


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    while not path.exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)])
@pytest.mark.usefixtures("text")
def test_an_interrupted_trial_goes_on_at_the_next_start(invoke: Invoke, sent: signal.Signals, code: int) -> None:
    """And ends with the same bytes as one that never was."""
    options = ("--trials", 1, "--epochs", EPOCHS, "--checkpoint-steps", 3)
    run = RunDirectory(Path("runs/text-tune/trial-000"))
    process = started(*options)
    wait_for(run.metrics, process)
    process.send_signal(sent)
    stdout, stderr = process.communicate(timeout=120)
    assert process.returncode == code, stderr
    if sent != signal.SIGKILL:
        outcome = json.loads(stdout)
        assert (outcome["interrupted"], outcome["best"]) == (True, None)
        assert [trial["state"] for trial in outcome["trials"]] == ["waiting"]
    with FileLock(run.lock, timeout=60):  # a trial outlives the command that was killed by some moments
        pass
    epochs = len(run.metrics.read_text(encoding="utf-8").splitlines()) - 1
    assert epochs < EPOCHS
    (trial,) = tuned(invoke, *options)["trials"]
    assert (trial["trial"], trial["state"], trial["epochs"]) == ("trial-000", "finished", EPOCHS)
    whole = invoke("train", "--config", "runs/text-tune/best.toml", "-q")
    assert RunDirectory(Path(whole.stdout.strip())).metrics.read_text() == run.metrics.read_text()
    assert RunDirectory(Path(whole.stdout.strip())).model.read_bytes() == run.model.read_bytes()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="child processes are told by /proc")
@pytest.mark.usefixtures("text")
def test_what_kills_a_trial_does_not_kill_the_search() -> None:
    """The trial goes on from its last checkpoint."""
    run = RunDirectory(Path("runs/text-tune/trial-000"))
    process = started("--trials", 2, "--epochs", EPOCHS)
    wait_for(run.metrics, process)
    (worker,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text(encoding="utf-8").split()
    os.kill(int(worker), signal.SIGKILL)
    stdout, stderr = process.communicate(timeout=300)
    assert process.returncode == 0, stderr
    assert [one["state"] for one in json.loads(stdout)["trials"]] == ["finished"] * 2
    assert stderr.count("trial-000: learning_rate") == 2

"""wandb itself, with a local server."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import yaml

import chargen
from chargen.tracking import wandb_process, wandb_tracker
from chargen.tracking.tracker import Trackers
from chargen.tracking.wandb_tracker import WaitLimits, WandbTracker
from tests.tracking.wandb_server import WandbServer

REPOSITORY = Path(__file__).parent.parent.parent
LIMIT = 300  # seconds that a test waits
OPTIONS = {"project": None, "mode": None, "group": None, "tags": ()}
TRAIN = ["train", "names.txt", "--hidden-size", "5", "--backend", "numpy", "--sample-length", "20"]
NAMES = "Ada\nAlan\nGrace\nLinus\n" * 20

PATIENT = f"""
import sys
from chargen.tracking import wandb_tracker
wandb_tracker.WAIT_LIMITS = wandb_tracker.WaitLimits({LIMIT}, {LIMIT}, {LIMIT})
from chargen.cli import main
main()
"""


def chargen_train(*arguments: str, folder: Path, environment: dict[str, str] | None = None) -> tuple[Path, list[str]]:
    """Train in a folder, with time limits for a slow machine; return the run and the lines about W&B."""
    (folder / "names.txt").write_text(NAMES, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", PATIENT, *TRAIN, *arguments],
        cwd=folder,
        env=os.environ | (environment or {}),
        capture_output=True,
        text=True,
        check=True,
        timeout=LIMIT,
    )
    return folder / done.stdout.strip(), [line for line in done.stderr.splitlines() if "W&B" in line and "waiting" not in line]


def until(found: Callable[[], Any]) -> Any:
    """Return the result of a function as soon as it is true."""
    deadline = time.monotonic() + LIMIT
    while not (what := found()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return what


def rows(run: Path) -> list[dict[str, float]]:
    text = (run / "metrics.csv").read_text(encoding="utf-8")
    return [{name: float(value) for name, value in row.items() if value} for row in csv.DictReader(text.splitlines())]


def table(server: WandbServer) -> list[list[Any]]:
    """Return the rows of the sample table, over all its increments."""
    files = [json.loads(body) for path, body in server.uploads.items() if path.startswith("media/table/samples")]
    return sorted(row for file in files for row in file["data"])


def check_what_w_and_b_knows(server: WandbServer, run: Path) -> None:
    """The log of a training is equal to the files of its run directory."""
    (run_id,) = server.runs
    assert run_id == (run / "wandb-id").read_text(encoding="utf-8").strip()
    known = server.runs[run_id]
    config = {name: entry["value"] for name, entry in json.loads(known["config"]).items()}
    assert known["displayName"] == run.name
    recorded = tomllib.loads((run / "config.toml").read_text(encoding="utf-8"))
    assert config["training"]["batch_size"] == recorded["training"]["batch_size"]
    assert len(config["corpus_sha256"]) == 64
    versions = {"python": sys.version.split()[0], "chargen": chargen.__version__, "numpy": np.__version__}
    assert config["versions"] == versions
    metrics = server.metrics(run_id)
    for logged, row in zip(metrics, rows(run), strict=True):
        assert {name: logged[name] for name in row} == pytest.approx(row)
        assert logged["characters_per_second"] > 0
        assert logged["gradient_norm/recurrent.0"] > 0
    assert metrics[-1]["best_bits_per_character"] == min(row["bits_per_character"] for row in metrics)
    texts = (run / "samples.txt").read_text(encoding="utf-8")
    assert [row[0] for row in table(server)] == [1, 1, 2, 2]
    for _, prompt, diversity, text in table(server):
        assert f'----- diversity: {diversity}\n----- Generating with seed: "{prompt}"\n{text}' in texts
    models = [one for one in server.artifacts if one["artifactTypeName"] == "model"]
    aliases = {alias["alias"] for one in models for alias in one["aliases"]}
    assert aliases == {"best", "latest"}
    uploaded = [body for path, body in server.uploads.items() if path.endswith("/model.safetensors")]
    assert (run / "last.safetensors").read_bytes() == uploaded[-1]
    assert {one["artifactTypeName"] for one in server.artifacts} == {"model", "wandb-run-incremental-table"}


def test_what_a_training_logs_and_what_it_keeps_to_itself(server: WandbServer, tmp_path: Path) -> None:
    run, (line,) = chargen_train("--epochs", "2", "--wandb", folder=tmp_path)
    (run_id,) = server.runs
    assert line == f"W&B: {server.url}/us/chargen/runs/{run_id}"
    check_what_w_and_b_knows(server, run)
    files = {path for path in server.uploads if not path.startswith(("media/table/samples", *"0123456789"))}
    assert files == {"config.yaml", "wandb-metadata.json", "wandb-summary.json"}
    sent = b"\n".join(server.requests)
    for secret in (NAMES[:40], "import wandb", "def main", "Requirement", "diff --git"):
        assert secret.encode() not in sent
        assert json.dumps(secret).strip('"').encode() not in sent


def test_an_offline_run_can_be_sent_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: WandbServer) -> None:
    options = ["--wandb-mode", "offline", "--wandb-tag", "small", "--wandb-tag", "names", "--wandb-group", "tests"]
    run, (line,) = chargen_train("--epochs", "2", "--wandb", *options, folder=tmp_path)
    assert not server.requests
    command, _, rest = line.removeprefix("W&B is offline for this run; ").partition(" sends it later")
    assert rest == ""
    program, *arguments = command.split()
    wandb = Path(sys.executable).with_name(program)
    subprocess.run([wandb, *arguments], cwd=tmp_path, check=True, capture_output=True, timeout=LIMIT)
    check_what_w_and_b_knows(server, run)
    (known,) = server.runs.values()
    assert sorted(known["tags"]) == ["names", "small"]
    assert known["groupName"] == "tests"


@pytest.mark.parametrize("trouble", ["no key", "401", "no answer"])
def test_w_and_b_out_of_reach_is_one_line_and_changes_no_byte(trouble: str, tmp_path: Path, server: WandbServer) -> None:
    server.status, server.silent = 401 if trouble == "401" else 200, trouble == "no answer"
    environment = {"WANDB_INIT_TIMEOUT": "1"} if trouble == "no answer" else {}
    if trouble == "no key":
        environment["WANDB_API_KEY"] = ""
    without, _ = chargen_train("--epochs", "1", folder=tmp_path)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    environment["TMPDIR"] = str(temporary)
    tracked, (line,) = chargen_train("--epochs", "1", "--wandb", folder=tmp_path, environment=environment)
    assert list(temporary.iterdir()) == []
    assert line.startswith("W&B is offline for this run (")
    assert line.endswith(" sends it later")
    for name in ("model.safetensors", "last.safetensors", "metrics.csv", "samples.txt", "gradients.csv"):
        assert (without / name).read_bytes() == (tracked / name).read_bytes()
    assert list(tracked.glob("wandb/offline-run-*/run-*.wandb"))


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the list of warnings, with time limits for a slow machine."""
    monkeypatch.setattr(wandb_tracker, "WAIT_LIMITS", WaitLimits(LIMIT, LIMIT, LIMIT))
    return []


def begun(said: list[str], folder: Path, server: WandbServer, **options: Any) -> tuple[Trackers, WandbTracker]:
    """Return trackers of a run that the server knows."""
    tracker = WandbTracker(OPTIONS | options, say=lambda _: None)
    trackers = Trackers({"W&B": tracker}, warn=said.append)
    trackers.start("name", folder, {"training": {}}, {})
    trackers.log({"epoch": 1.0, "cross_entropy": 2.5})
    until(lambda: trackers.log_samples([]) or said or tracker._folder)
    return trackers, tracker


def test_its_service_killed_is_one_warning(said: list[str], tmp_path: Path, server: WandbServer) -> None:
    trackers, tracker = begun(said, tmp_path, server)
    assert tracker._process
    for service in children(tracker._process.pid):
        os.kill(service, signal.SIGKILL)
    trackers.log({"epoch": 2.0, "cross_entropy": 2.0})
    trackers.finish(failed=False, models={})
    (warning,) = said
    assert warning.startswith("W&B is off for the rest of this run: ")


def children(process: int) -> list[int]:
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(process)], capture_output=True, text=True, check=True)
    return [int(line) for line in found.stdout.splitlines()]


def test_a_server_that_falls_silent_is_not_waited_for(
    said: list[str], tmp_path: Path, server: WandbServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    trackers, tracker = begun(said, tmp_path, server)
    server.silent = True
    monkeypatch.setattr(wandb_tracker, "WAIT_LIMITS", WaitLimits(finished=1.0, stopped=1.0, offline=LIMIT))
    trackers.finish(failed=False, models={})
    (warning,) = said
    assert "no answer within 1 s; wandb sync " in warning
    assert tracker._process
    assert tracker._process.returncode is not None


def test_a_server_that_never_answers_leaves_a_run_on_disk(
    said: list[str], tmp_path: Path, server: WandbServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.silent = True
    run = tmp_path / "run"
    run.mkdir()
    lines: list[str] = []
    trackers = Trackers({"W&B": WandbTracker(OPTIONS, say=lines.append)}, warn=said.append)
    trackers.start("name", run, {"training": {}}, {})
    trackers.log({"epoch": 1.0, "cross_entropy": 2.5})
    monkeypatch.setattr(wandb_tracker, "WAIT_LIMITS", WaitLimits(finished=1.0, stopped=1.0, offline=LIMIT))
    trackers.finish(failed=False, models={})
    assert said == []
    (line,) = (line for line in lines if "waiting" not in line)
    assert line.startswith("W&B is offline for this run (no answer within 1 s); wandb sync ")
    (log,) = run.glob("wandb/offline-run-*/run-*.wandb")
    assert b"cross_entropy" in log.read_bytes()


def test_a_resumed_training_joins_its_run(said: list[str], tmp_path: Path, server: WandbServer) -> None:
    trackers, _ = begun(said, tmp_path, server)
    trackers.finish(failed=True, models={})
    assert server.resumed == []
    assert list(server.exit_codes.values()) == [1]
    (run_id,) = server.runs
    trackers, _ = begun(said, tmp_path, server)
    trackers.log({"epoch": 2.0, "cross_entropy": 2.0})
    trackers.finish(failed=False, models={})
    assert said == []
    assert list(server.runs) == [run_id]
    assert server.exit_codes == {run_id: 0}
    assert server.resumed == [run_id]
    assert [(row["epoch"], row["_step"]) for row in server.metrics(run_id)] == [(1, 0), (1, 1), (2, 2)]


def test_its_environment_counts_where_no_option_is_given(
    said: list[str], tmp_path: Path, server: WandbServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = {"PROJECT": "letters", "RUN_GROUP": "ours", "TAGS": "a,b", "RUN_ID": "mine", "NAME": "first", "NOTES": "why"}
    for name, value in environment.items():
        monkeypatch.setenv(f"WANDB_{name}", value)
    trackers, _ = begun(said, tmp_path, server, group="theirs")
    trackers.finish(failed=False, models={})
    assert said == []
    known = server.runs["mine"]
    assert (known["project"], known["groupName"], known["displayName"], known["notes"]) == ("letters", "theirs", "first", "why")
    assert sorted(known["tags"]) == ["a", "b"]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGKILL, -9), (signal.SIGINT, 130)], ids=["killed", "Ctrl-C"])
def test_a_training_that_is_stopped_ends_its_run(number: int, code: int, tmp_path: Path, server: WandbServer) -> None:
    (tmp_path / "names.txt").write_text(NAMES, encoding="utf-8")
    endless = ["--epochs", "1000000", "--patience", "0", "--sample-every", "0", "--wandb"]
    command = [sys.executable, "-c", PATIENT, *TRAIN, *endless]
    process = subprocess.Popen(command, cwd=tmp_path, start_new_session=True, stderr=subprocess.DEVNULL)
    try:
        until(lambda: server.runs)
        until(lambda: [run for run in tmp_path.glob("runs/*/metrics.csv") if len(rows(run.parent)) > 1])  # one is logged
        (child,) = children(process.pid)
        os.killpg(process.pid, number)  # as a terminal does
        assert process.wait(LIMIT) == code
    finally:
        process.kill()
        process.wait()
    until(lambda: not Path(f"/proc/{child}").exists())
    (run_id,) = server.runs
    assert server.metrics(run_id)[0]["epoch"] == 1
    assert server.exit_codes == {run_id: 1}
    assert bool(server.artifacts) == (number == signal.SIGINT)


def test_a_long_training_logs_its_table_ever_more_rarely(monkeypatch: pytest.MonkeyPatch) -> None:
    logs: list[int] = []

    class Table(list[Any]):
        def __init__(self, columns: list[str], log_mode: str) -> None:
            assert log_mode == "INCREMENTAL"

        def add_data(self, *row: Any) -> None:
            self.append(row)

    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(Table=Table))
    run = SimpleNamespace(log=lambda values: logs.append(len(values["samples"])))
    samples = wandb_process.SampleTable(run)
    for epoch in range(1, 1001):
        samples.add([(epoch, "Ha", 0.5, "Harold"), (epoch, "Ha", 1.2, "Haxq")])
    samples.log()
    samples.log()
    assert logs[:10] == list(range(2, 21, 2))  # at each epoch
    assert len(logs) < 70
    assert logs[-2] > 1800
    assert logs[-1] == 2000


def test_the_sweep_is_one_that_wandb_and_training_take(server: WandbServer, tmp_path: Path) -> None:
    wandb = Path(sys.executable).with_name("wandb")
    path = REPOSITORY / "configs" / "sweep.yaml"
    subprocess.run([wandb, "sweep", path], check=True, cwd=tmp_path, capture_output=True, timeout=LIMIT)
    assert server.sweep
    sweep = yaml.safe_load(server.sweep)
    assert sweep == yaml.safe_load(path.read_text(encoding="utf-8"))
    from wandb.sdk.launch.sweeps.utils import create_sweep_command_args

    values = {name: choice.get("values", [choice.get("min")])[0] for name, choice in sweep["parameters"].items()}
    given = create_sweep_command_args({"args": {name: {"value": value} for name, value in values.items()}})
    (place,) = (number for number, word in enumerate(sweep["command"]) if word.startswith("${args"))
    words = sweep["command"][:place] + given[sweep["command"][place][2:-1]] + sweep["command"][place + 1 :]
    assert words[:3] == ["${env}", "chargen", "train"]
    assert "--batch_size=16" in words
    command = [sys.executable, "-m", *words[1:], "--backend", "numpy", "--dry-run", "--json"]
    done = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True, timeout=LIMIT)
    assert json.loads(done.stdout)["size"] == "1x64"

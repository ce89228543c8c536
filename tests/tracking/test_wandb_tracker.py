"""The training's side of W&B logging, with processes that misbehave."""

import json
import math
import signal
from pathlib import Path

import pytest

from chargen.tracking import wandb_tracker
from chargen.tracking.tracker import Trackers
from chargen.tracking.wandb_tracker import WaitLimits, WandbTracker

OPTIONS = {"project": None, "mode": None, "group": None, "tags": ()}
STARTED = {"folder": "wandb/run-1", "url": None, "offline": False, "problem": None}
LONG = "x" * 10_000_000  # more than a pipe holds

MESSAGES = [
    message
    for epoch in (1, 2)
    for message in (["log", {"epoch": epoch, "cross_entropy": 2.5}], ["samples", [[epoch, "Ha", 0.5, LONG]]])
] + [["finish", {"exit_code": 0, "models": {}}]]

LISTEN = """
import json, os, signal, sys, time
def answer(*message):
    print(json.dumps(message), flush=True)
messages = [json.loads(sys.stdin.readline()) for _ in range(%d)]
"""


def told_of_a_training(
    body: str, folder: Path, monkeypatch: pytest.MonkeyPatch, *, heard: int = 0, interrupted: bool = False
) -> list[str]:
    """Log a training to a program that reads some messages and then misbehaves; return the lines for the user.

    interrupted: whether the user presses Ctrl-C at the first line.
    """
    program = folder / "program.py"
    program.write_text(LISTEN % heard + body, encoding="utf-8")
    monkeypatch.setattr(wandb_tracker, "PROGRAM", program)
    said: list[str] = []

    def say(line: str) -> None:
        said.append(line)
        if interrupted:
            signal.raise_signal(signal.SIGINT)

    trackers = Trackers({"W&B": WandbTracker(OPTIONS, say=say)}, warn=said.append)
    trackers.start("name", folder, {"training": {"epochs": 2}}, {"corpus_sha256": "00"})
    for epoch in (1, 2):
        trackers.log({"epoch": epoch, "cross_entropy": 2.5})
        trackers.log_samples([(epoch, "Ha", 0.5, LONG)])
    trackers.finish(failed=False, models={})
    return said


@pytest.fixture(autouse=True)
def never_told_of_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not print lines about waiting, which depend on the speed of the machine."""
    monkeypatch.setattr(wandb_tracker, "QUIET_SECONDS", math.inf)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wandb_tracker, "WAIT_LIMITS", WaitLimits(finished=0.5, stopped=0.2, offline=0.3))


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("sys.exit(3)", "its process ended with 3"),
        ("sys.exit(0)", "its process ended with 0"),
        ("os.kill(os.getpid(), signal.SIGKILL)", f"its process was ended by signal {signal.SIGKILL.value}"),
        ("answer('failed', 'no key')\nsys.exit(1)", "no key"),
        ("print('not JSON', flush=True)\ntime.sleep(100)", "Expecting value: line 1 column 1 (char 0)"),
    ],
    ids=["ends", "ends well", "is killed", "fails", "babbles"],
)
def test_a_process_that_fails_is_one_warning(body: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert told_of_a_training(body, tmp_path, monkeypatch) == [f"W&B is off for the rest of this run: {reason}"]


@pytest.mark.usefixtures("impatient")
def test_a_process_that_neither_reads_nor_ends_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wandb_tracker, "QUIET_SECONDS", 0.0)
    said = told_of_a_training("time.sleep(1000)", tmp_path, monkeypatch)
    waiting = [f"waiting for W&B, at most {seconds} s; Ctrl-C stops waiting" for seconds in (0.5, 0.3)]
    assert said == [*waiting, "W&B is off for the rest of this run: no answer within 0.3 s"]


def test_a_process_that_cannot_reach_w_and_b_is_replaced_by_one_that_gets_all_messages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second process is told why, and what was sent before and after the first one ended."""
    monkeypatch.chdir(tmp_path)
    body = """
if messages[0][1]["mode"] != "offline":
    answer('unreachable', 'no route')
    sys.exit(0)
answer('started', {"folder": "wandb/off", "url": None, "offline": True, "problem": messages[0][1]["problem"]})
messages += [json.loads(sys.stdin.readline()) for _ in range(5)]
json.dump(messages, open(os.path.join(messages[0][1]["folder"], "messages.json"), "w"))
answer('finished', None)
"""
    said = told_of_a_training(body, tmp_path, monkeypatch, heard=1)
    assert said == ["W&B is offline for this run (no route); wandb sync wandb/off sends it later"]
    start, *rest = json.loads((tmp_path / "messages.json").read_text(encoding="utf-8"))
    assert start[1]["config"] == {"training": {"epochs": 2}, "corpus_sha256": "00"}
    assert rest == MESSAGES


def test_ctrl_c_ends_the_waiting_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    started = STARTED | {"folder": str(tmp_path / "my run"), "url": "http://wandb/run"}
    body = f"answer('started', {started})\ntime.sleep(1000)"
    said = told_of_a_training(body, tmp_path, monkeypatch, heard=6, interrupted=True)
    warning = "W&B is off for the rest of this run: waiting was stopped; wandb sync 'my run' sends the rest"
    assert said == ["W&B: http://wandb/run", warning]


def test_a_process_that_has_finished_need_not_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wandb_tracker, "LEAVING_SECONDS", 0.1)
    body = "answer('finished', None)\ntime.sleep(1000)"
    assert told_of_a_training(body, tmp_path, monkeypatch) == []


def test_the_messages_of_a_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that reads slowly gets all messages in the end."""
    body = """
time.sleep(0.3)
json.dump(messages, open(os.path.join(messages[0][1]["folder"], "messages.json"), "w"))
answer('finished', None)
"""
    monkeypatch.setattr(wandb_tracker, "WAIT_LIMITS", WaitLimits(finished=300.0, stopped=0.2, offline=0.2))
    assert told_of_a_training(body, tmp_path, monkeypatch, heard=6) == []
    start, *rest = json.loads((tmp_path / "messages.json").read_text(encoding="utf-8"))
    assert start[1]["config"] == {"training": {"epochs": 2}, "corpus_sha256": "00"}
    assert rest == MESSAGES


def test_too_much_that_is_not_read_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wandb_tracker, "MAX_UNSENT", len(LONG) // 2)
    said = told_of_a_training("time.sleep(1000)", tmp_path, monkeypatch)
    assert said == ["W&B is off for the rest of this run: it accepts no more data"]

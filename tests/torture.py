"""Run the long tests of reliability: `python -m tests.torture [NAME...]` prints how many attempts passed.

The ordinary tests run a short form of each.
"""

import errno
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import NamedTuple
from unittest import mock

import numpy as np
from click.testing import CliRunner, Result

from chargen.cli.program import program
from chargen.runs.checkpoints import Checkpoint, Position, read_newest, write_checkpoint
from chargen.settings.schema import NetworkConfig
from chargen.training.signals import RequestedSignal, TrainingInterrupted
from tests.export.forms import make_model
from tests.hostile.torture import torture_by_attacks, torture_by_damage
from tests.serving.attackers import attacked, honest_seconds
from tests.serving.served import served
from tests.test_terminal import ACTIVE, fuzzed, in_chunks

TEXT = "the cat sat on the mat.\nthe dog sat on the log.\n" * 25
SIZES = ["--hidden-size", "7", "--embedding", "5", "--sample-length", "20", "--batch-size", "4", "--context-length", "9"]
MEMORY = "chargen.training.planning.memory"
FILES = ("model.safetensors", "last.safetensors", "metrics.csv", "gradients.csv", "samples.jsonl", "samples.txt")
STOPS_EACH, KILLS, INTERRUPTS, STARTS, TOGETHER = 20, 200, 20, 20, 204
SECONDS_TO_END = 5.0


class Outcome(NamedTuple):
    """The number of attempts, and the number without loss or harm."""

    tried: int
    survived: int


def resume() -> Outcome:
    """Stop trainings of every cell at random checks for a signal, resume them, and compare all files with an unstopped run."""
    rng, survived = np.random.default_rng(1), 0
    for cell in ("simplernn", "lstm", "mlstm", "gru"):
        for form in ([], ["--stateful"]):
            options = ["--cell", cell, *form, "--dropout", "0.2", "--epochs", "3", "--patience", "0"]
            with (
                tempfile.TemporaryDirectory() as name,
                mock.patch(f"{MEMORY}.WORK_PER_EXECUTION", 1.5e6),
            ):
                expected = _contents(_train(Path(name), ["text.txt", *options]))
                for looks in rng.integers(0, 24, STOPS_EACH // 2).tolist():
                    stopped = _train(Path(name), ["text.txt", *options], looks=looks)
                    survived += _contents(_train(Path(name), ["--resume", str(stopped)])) == expected
    return Outcome(6 * (STOPS_EACH // 2), survived)


def _train(folder: Path, arguments: list[str], *, looks: int | None = None) -> Path:
    """Train in a folder, to the end or until a signal comes at the nth check for one; return the run's path."""
    left = looks

    def check(requested: RequestedSignal) -> None:
        nonlocal left
        if left is not None:
            left -= 1
            if left < 0:
                raise TrainingInterrupted(signal.SIGINT)

    (folder / "text.txt").write_text(TEXT, encoding="utf-8")
    sizes = [] if "--resume" in arguments else [*SIZES, "--runs-dir", str(folder / "runs")]
    before = Path.cwd()
    os.chdir(folder)
    try:
        with mock.patch.object(RequestedSignal, "check", check):
            result: Result = CliRunner().invoke(program, ["train", "-q", *arguments, *sizes])
    finally:
        os.chdir(before)
    assert result.exit_code in (0, 130), result.output
    return Path(result.stdout.strip())


def kill() -> Outcome:
    """Kill trainings without warning at random moments, resume, kill again; count the kills without a loss."""
    rng, tried, survived = np.random.default_rng(1), 0, 0
    command = [sys.executable, "-m", "chargen", "train"]
    options = ["--backend", "numpy", "--epochs", "4", "--patience", "0", "--checkpoint-steps", "2"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        expected = _contents(_train(folder, ["text.txt", *options]))
        for training in count():
            if tried >= KILLS:
                break
            root = folder / f"killed-{training}"
            arguments = ["text.txt", *options, *SIZES, "-q", "--runs-dir", str(root)]
            kills = 0
            while _killed([*command, *arguments], folder, seconds=float(rng.uniform(0.2, 1.2))):
                kills += 1
                runs = list(root.glob("*/config.toml"))
                arguments = ["--resume", str(runs[0].parent)] if runs else arguments
            (config,) = root.glob("*/config.toml")  # a kill before it is written leaves an empty folder
            tried, survived = tried + kills, survived + kills * (_contents(config.parent) == expected)
    return Outcome(tried, survived)


def _killed(command: list[str], folder: Path, *, seconds: float) -> bool:
    """Run a command for `seconds`; return whether it had to be killed."""
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        _, stderr = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return True
    assert process.returncode == 0, stderr
    return False


def interrupt() -> Outcome:
    """Interrupt trainings with Keras at moments from start-up to the end; each must end within five seconds with a message."""
    moments, survived = np.linspace(0.3, 20, INTERRUPTS), 0
    command = [sys.executable, "-m", "chargen", "train", "male.txt", "--epochs", "100000", "--patience", "0"]
    for number, seconds in enumerate(moments.tolist()):
        asked = (signal.SIGINT, signal.SIGTERM)[number % 2]
        with tempfile.TemporaryDirectory() as name:
            process = subprocess.Popen(command, cwd=name, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
            time.sleep(seconds)
            process.send_signal(asked)
            began = time.perf_counter()
            _, stderr = process.communicate()
            clean = process.returncode == 128 + asked and "Traceback" not in stderr
            survived += clean and time.perf_counter() - began < SECONDS_TO_END
    return Outcome(INTERRUPTS, survived)


def lock() -> Outcome:
    """Resume one run in many processes at once: one trains, the others name its process or find the run finished."""
    with tempfile.TemporaryDirectory() as name:
        options = ["--backend", "numpy", "--epochs", "30", "--patience", "0"]
        stopped = _train(Path(name), ["text.txt", *options], looks=4)
        command = [sys.executable, "-m", "chargen", "train", "--resume", str(stopped)]
        started = [
            subprocess.Popen(command, cwd=name, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
            for _ in range(STARTS)
        ]
        ended = [(process.communicate()[1], process.returncode) for process in started]
    trained = sum("epoch 30/30" in stderr and code == 0 for stderr, code in ended)
    refused = sum("is in use by process" in stderr and code == 2 for stderr, code in ended)
    finished = sum("is finished" in stderr and code == 0 for stderr, code in ended)
    return Outcome(STARTS, trained + refused + finished if trained == 1 else 0)


def fault() -> Outcome:
    """Fail at the nth call of writing a checkpoint, for every n, in three ways; the previous checkpoint must load."""
    tried = survived = 0
    for code in (errno.ENOSPC, errno.EIO, errno.EACCES):
        with tempfile.TemporaryDirectory() as name:
            folder, number, failed = Path(name) / "checkpoints", 0, True
            write_checkpoint(folder, _checkpoint(1))
            while failed:
                failed = _write_with_fault(folder, number, code)
                newest, notes = read_newest(folder)
                tried += failed
                survived += failed and newest is not None and not notes and newest.facts == {"fact": newest.position.step}
                number += 1
    return Outcome(tried, survived)


def _write_with_fault(folder: Path, number: int, code: int) -> bool:
    """Write a checkpoint on a disk that fails at one call; return whether that call was reached."""
    left, failed = number, False

    def failing(call: Callable[..., object]) -> Callable[..., object]:
        def wrapped(*arguments: object, **options: object) -> object:
            nonlocal left, failed
            left -= 1
            if left < 0:
                failed = True
                raise OSError(code, os.strerror(code))
            return call(*arguments, **options)

        return wrapped

    names = ("fsync", "rename", "mkdir", "open")
    with mock.patch.multiple(os, **{name: failing(getattr(os, name)) for name in names}):
        try:
            write_checkpoint(folder, _checkpoint(2))
        except OSError:
            assert failed
    return failed


def _checkpoint(step: int) -> Checkpoint:
    return Checkpoint(Position(0, step), {"weight": np.full(3, step)}, {"fact": step})


def _contents(run: Path) -> dict[str, bytes]:
    return {name: (run / name).read_bytes() for name in FILES}


def terminal() -> Outcome:
    """Print fuzzed text, cut at random places, to a terminal; none of it may act there."""
    results = [not ACTIVE & set(in_chunks(text, places)) for text, places in fuzzed()]
    return Outcome(len(results), sum(results))


def damage() -> Outcome:
    """Truncate model files and flip bits of them; every one must be refused in one line."""
    return Outcome(*torture_by_damage())


def server() -> Outcome:
    """Ask a server under attack, one request after another."""
    with attacked() as asked:
        seconds = honest_seconds(asked, 30)
    return Outcome(len(seconds), sum(one <= 1 for one in seconds))


def api() -> Outcome:
    """Send requests that schemathesis makes from /openapi.json, valid and invalid ones."""
    model = make_model(NetworkConfig(hidden_size=5, embedding_size=4))
    with served(model, length=200) as asked, tempfile.TemporaryDirectory() as folder:  # where it keeps what it has found
        command = [Path(sys.executable).with_name("schemathesis"), "run", f"{asked.url}openapi.json"]
        options = ["--checks", "not_a_server_error", "--max-examples", "50", "--no-color"]
        done = subprocess.run([*command, *options], cwd=folder, capture_output=True, text=True, check=False)
    found = re.search(r"([0-9,]+) generated(?:, ([0-9,]+) found)?", done.stdout)
    assert found, done.stdout + done.stderr
    tried, failed = (int((one or "0").replace(",", "")) for one in found.groups())
    if failed:
        print(done.stdout, file=sys.stderr)
    return Outcome(tried, tried - failed)


def together() -> Outcome:
    """Let two or four processes train together and end, by a signal to one of them, by an error, or after the last epoch."""
    command = [sys.executable, "-m", "tests.training.torture_together", str(TOGETHER)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    print(done.stderr, end="", file=sys.stderr)
    return Outcome(*map(int, done.stdout.split()))


def attack() -> Outcome:
    """Run commands on malicious model files, under an audit hook."""
    return Outcome(*torture_by_attacks())


TORTURES: dict[str, tuple[str, Callable[[], Outcome]]] = {
    "terminal": ("fuzzed texts on a terminal, nothing active left", terminal),
    "damage": ("model files truncated or with a bit flipped, refused in one line", damage),
    "server": ("requests answered within a second, beside 500 slow and never-reading clients", server),
    "api": ("requests made from the server's own description, none answered by an internal error", api),
    "attack": ("commands on built attacks, refused in one line, nothing else read or run", attack),
    "together": ("endings of two or four processes that train together on JAX, none leaves before all know", together),
    "lock": ("simultaneous starts in one run directory, one trains", lock),
    "interrupt": ("Ctrl-C or SIGTERM at any phase, ended within 5 s", interrupt),
    "fault": ("disk failures while a checkpoint is written, the one before loads", fault),
    "kill": ("kill -9 in training, the resumed run ends with the same bytes", kill),
    "resume": ("trainings stopped and resumed with Keras, ending with the same bytes", resume),
}


def main(names: list[str]) -> None:
    """Run the given tests, by default all, and print a table."""
    print("| what | tried | survived | seconds |\n| --- | ---: | ---: | ---: |", flush=True)
    lost = 0
    for name in names or TORTURES:
        began = time.perf_counter()
        title, torture = TORTURES[name]
        tried, survived = torture()
        lost += tried - survived
        print(f"| {title} | {tried:,} | {survived:,} | {time.perf_counter() - began:,.0f} |", flush=True)
    raise SystemExit(lost > 0)


if __name__ == "__main__":
    main(sys.argv[1:])

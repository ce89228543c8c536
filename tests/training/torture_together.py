"""`python -m tests.training.torture_together TRIES` lets processes train together and end, and counts the tries that end well.

They end by a signal to one of them, by an error in one of them, or after the last epoch, two or four processes in turn. They
are forked from this program, which has imported Keras on JAX, because importing takes longer than the rest.
"""

import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple
from unittest import mock

os.environ["KERAS_BACKEND"] = "jax"

import jax  # noqa: F401
import keras  # noqa: F401

from chargen.cli import main as run_chargen
from chargen.errors import TrainingError
from chargen.training import keras_trainer, loop, start  # noqa: F401
from chargen.training.engines import distributed_engine  # noqa: F401
from tests.training.processes import ENDLESS, SECONDS, environments, only_run, training, wait_for_epochs

TEXT = "the cat sat on the mat.\nthe dog sat on the log.\n" * 25
SMALL = ("--config", "plain", "--cell", "simplernn", "--hidden-size", "7", "--embedding", "5", "--backend", "jax")
WAYS = ("signal", "error", "end")
FAULT = "a fault"


class Ended(NamedTuple):
    """How a process ended."""

    code: int
    stdout: str
    stderr: str

    @property
    def last_line(self) -> str:
        return (self.stderr.splitlines() or [""])[-1]


def fork(run: Callable[[], None], environment: dict[str, str], outputs: tuple[Path, Path]) -> int:
    """Return the number of a process that calls a function with this environment and writes its output into files."""
    number = os.fork()
    if number:
        return number
    code = 1
    try:
        os.environ.clear()
        os.environ.update(environment)
        for descriptor, output in enumerate(outputs, start=1):
            os.dup2(os.open(output, os.O_WRONLY | os.O_CREAT), descriptor)
        run()
    except SystemExit as leaving:
        code = leaving.code if isinstance(leaving.code, int) else 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def train(options: tuple[object, ...], folder: Path, *, failing: int | None = None) -> None:
    """Run `chargen train --distribute`; if `failing` is given, it fails after so many executions."""
    os.chdir(folder)
    sys.argv = ["chargen", *map(str, training("text.txt", *SMALL, *options)[2:])]
    left = failing
    after_steps = loop._Loop._after_steps

    def fail(*arguments: object) -> None:
        nonlocal left
        left = None if left is None else left - 1
        if left is not None and left < 0:
            raise TrainingError(FAULT)
        after_steps(*arguments)  # type: ignore[arg-type]

    with mock.patch.object(loop._Loop, "_after_steps", fail):
        run_chargen()


def wait(number: int) -> int:
    """Return the exit code of a process; one that takes too long is killed."""
    patience = time.monotonic() + SECONDS
    while not (found := os.waitpid(number, os.WNOHANG))[0]:
        if time.monotonic() > patience:
            os.kill(number, signal.SIGKILL)
        time.sleep(0.02)
    return os.waitstatus_to_exitcode(found[1])


def attempt(folder: Path, processes: int, way: str, rng: random.Random) -> list[Ended]:
    """Let processes train in a folder and end in a way, which concerns one of them, drawn at random; that one comes first."""
    (folder / "text.txt").write_text(TEXT, encoding="utf-8")
    one, length = rng.randrange(processes), ("--epochs", 2) if way == "end" else ENDLESS[:2]
    outputs = [(folder / f"{rank}.out", folder / f"{rank}.err") for rank in range(processes)]
    numbers = []
    for rank, environment in enumerate(environments(processes, 1)):
        failing = rng.randrange(20) if way == "error" and rank == one else None
        run = partial(train, (*ENDLESS[2:], *length), folder, failing=failing)
        numbers.append(fork(run, environment, outputs[rank]))
    if way == "signal":
        wait_for_epochs(only_run(folder), 1)
        time.sleep(rng.random())
        os.kill(numbers[one], rng.choice([signal.SIGTERM, signal.SIGINT]))
    codes = [wait(number) for number in numbers]
    ended = [Ended(code, *[path.read_text() for path in paths]) for code, paths in zip(codes, outputs, strict=True)]
    return [ended[one], *ended[:one], *ended[one + 1 :]]


def ended_well(way: str, ended: list[Ended]) -> bool:
    """Return whether all processes have ended as they should."""
    if way == "error":
        first, *others = ended
        told = f"another process of this training has ended ({FAULT})"
        return (
            first[0] == 1
            and first.last_line == f"chargen: {FAULT}"
            and all(other.code == 1 and told in other.last_line for other in others)
        )
    codes = {one.code for one in ended}
    runs = [one.stdout for one in ended if one.stdout]
    return len(runs) == 1 and (codes == {0} if way == "end" else codes in ({130}, {143}))


def main(tries: int) -> None:
    """Try and print the number of tries, and of those that ended well."""
    rng, well = random.Random(1), 0
    for number in range(tries):
        way, processes = WAYS[number % len(WAYS)], (2, 4)[number // len(WAYS) % 2]
        with tempfile.TemporaryDirectory() as name:
            ended = attempt(Path(name), processes, way, rng)
        if ended_well(way, ended):
            well += 1
        else:
            print(f"try {number}, {way}, {processes} processes: {ended}", file=sys.stderr)
    print(tries, well)


if __name__ == "__main__":
    main(int(sys.argv[1]))

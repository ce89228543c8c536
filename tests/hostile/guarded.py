"""Commands run on attacks, under guard: what they open, import, run or write beyond the file they were given, and their memory.

    python -m tests.hostile.guarded FOLDER [large]

Writes the attacks into the empty folder FOLDER and prints a report as JSON.
"""

import json
import os
import resource
import sys
import time
import warnings
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

from chargen.cli.program import program
from tests.hostile.attacks import write_attacks
from tests.hostile.craft import valid_files

WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
HARMLESS = {"sys._getframe", "object.__getattr__", "object.__setattr__", "builtins.id"}
ALL_COMMANDS_BELOW = 1 << 20  # bytes; larger files are for one command


class Guard:
    """An audit hook that, while it watches, notes every event but the reading of one file."""

    def __init__(self) -> None:
        self.watched: Path | None = None
        self.seen: list[str] = []
        sys.addaudithook(self._hear)

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.watched is None or event in HARMLESS:
            return
        if event == "open" and str(arguments[0]) == str(self.watched) and not (arguments[2] or 0) & WRITES:
            return
        self.seen.append(f"{event} {arguments!r:.200}")

    def run(self, path: Path, arguments: list[str]) -> dict[str, Any]:
        """Run a command on a file and return what came of it."""
        stdout, stderr = StringIO(), StringIO()
        self.seen, began = [], time.monotonic()
        with redirect_stdout(stdout), redirect_stderr(stderr):
            self.watched = path
            try:
                program.main(arguments)
            except SystemExit as error:
                code = error.code
            finally:
                self.watched = None
        took = time.monotonic() - began
        outputs = {"stdout": stdout.getvalue(), "stderr": stderr.getvalue()}
        return {"path": str(path), "command": arguments[0], "code": code, "seen": self.seen, "seconds": took} | outputs


def commands(path: Path) -> list[list[str]]:
    """Return the commands that read a model file."""
    named = ["--run", str(path)]
    return [["sample", "--length", "3", *named], ["next", "a", *named], ["classify", "a", *named]]


def main(folder: Path, *, large: bool) -> dict[str, Any]:
    """Write the attacks, run every command on each, and return the report."""
    warnings.simplefilter("error")
    warm_up(folder)
    paths = write_attacks(folder, large=large)
    before = peak()
    guard = Guard()
    runs = []
    for path in paths:
        chosen = commands(path)
        small = not path.is_file() or path.stat().st_size < ALL_COMMANDS_BELOW or path.stat().st_size > 1 << 30
        runs += [guard.run(path, arguments) for arguments in (chosen if small else chosen[:1])]
    return {"runs": runs, "peak_bytes_before": before, "peak_bytes": peak()}


def warm_up(folder: Path) -> None:
    """Run every command on files that are sound and that are not, so that all that is imported on use has been."""
    path = folder / "sound"
    for content in (*valid_files().values(), b"unsound"):
        path.write_bytes(content)
        for arguments in commands(path):
            for options in ([], ["--label", "x"]) if arguments[0] == "sample" else ([],):
                _quietly(lambda given=(*arguments, *options): program.main(list(given)))
    path.unlink()


def _quietly(call: Callable[[], object]) -> None:
    with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
        try:
            call()
        except SystemExit:
            return


def peak() -> int:
    """Return the most memory that this process has had, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), large=sys.argv[2:] == ["large"])))

"""Run commands on attacks and record what they open, import, run or write beyond the given file, and their memory.

    python -m tests.hostile.guarded FOLDER large|small

Writes the attacks into the empty folder FOLDER and prints a report as JSON.
"""

import json
import os
import re
import resource
import subprocess
import sys
import time
import warnings
from contextlib import redirect_stderr, redirect_stdout, suppress
from io import StringIO
from pathlib import Path
from typing import Any

from chargen.cli.program import program
from tests.hostile.attacks import attack_paths, with_paths
from tests.hostile.craft import valid_files

WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
HARMLESS = {"sys._getframe", "object.__getattr__", "object.__setattr__", "builtins.id"}
LISTING = {"os.listdir", "os.scandir", "pathlib.Path.glob", "glob.glob"}
CHECK = ["config", "show", "--config", "demo"]  # reads another file, which the guard must notice
ALL_COMMANDS_BELOW = 1 << 20  # bytes; larger files are used with one command only


class Guard:
    """An audit hook that records, while active, every event except reading one file or the files of one folder."""

    def __init__(self) -> None:
        self.watched: Path | None = None
        self.seen: list[str] = []
        sys.addaudithook(self._hear)

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.watched is None or event in HARMLESS or self._is_reading(self.watched, event, arguments):
            return
        self.seen.append(f"{event} {arguments!r:.200}")

    def _is_reading(self, watched: Path, event: str, arguments: tuple[Any, ...]) -> bool:
        path = str(arguments[0]) if arguments else ""
        inside = path == str(watched) or path.startswith(f"{watched}{os.sep}")
        return inside and (event in LISTING or (event == "open" and not (arguments[2] or 0) & WRITES))

    def run(self, path: Path, arguments: list[str]) -> dict[str, Any]:
        """Run a command on a file or folder and return its outcome."""
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


def main(folder: Path, size: str) -> dict[str, Any]:
    """Let the attacks be written, run every command on each, and return the report."""
    subprocess.run(
        [sys.executable, "-m", "tests.hostile.attacks", str(folder), size], check=True
    )  # its memory is measured separately
    warnings.simplefilter("error")
    warm_up(folder)
    guard, runs = Guard(), []
    for path in attack_paths(folder):
        chosen = commands(path)
        runs += [guard.run(path, arguments) for arguments in (chosen if _is_small(path) else chosen[:1])]
    listing = guard.run(folder, ["runs", "--json", "--runs-dir", str(folder)])
    path = folder / "with-paths"
    path.write_bytes(with_paths())
    sound = [guard.run(path, arguments) for arguments in commands(path)[:2]]
    return {"runs": runs, "listing": listing, "sound": sound, "check": guard.run(folder, CHECK), "peak_bytes": peak()}


def _is_small(path: Path) -> bool:
    size = len(str(path)) < 1000 and path.is_file() and path.stat().st_size
    return not ALL_COMMANDS_BELOW < size < 1 << 30


def warm_up(folder: Path) -> None:
    """Run every command on valid and invalid files, so that everything imported on first use is imported."""
    import difflib  # noqa: F401 -- loaded for an unknown setting, which the files here do not have

    path = folder.parent / "sound"
    for content in (*valid_files().values(), b"unsound"):
        path.write_bytes(content)
        for arguments in commands(path):
            _run_quietly(arguments)
    _run_quietly(["runs", "--runs-dir", str(folder.parent)])
    path.unlink()


def _run_quietly(arguments: list[str]) -> None:
    with redirect_stdout(StringIO()), redirect_stderr(StringIO()), suppress(SystemExit):
        program.main(arguments)


def peak() -> int:
    """Return the peak memory of this process in bytes, without that of its parent."""
    status = Path("/proc/self/status")
    if status.exists():
        return int(re.search(r"VmHWM:\s+(\d+) kB", status.read_text(encoding="utf-8"))[1]) * 1024  # type: ignore[index]
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), sys.argv[2])))

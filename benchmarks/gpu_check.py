"""Check chargen on a GPU within some minutes, the most important parts first: `python -m benchmarks.gpu_check`.

Each step runs in its own process with a time limit; a failure is reported, and the other steps continue. The results are
written to benchmarks/gpu.json after each step, and printed as a table at the end.

On a machine without a network --wheels installs what chargen needs in addition to JAX or PyTorch; before that only Python's
standard library is imported.
"""

import argparse
import json
import math
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NoReturn

from benchmarks.on_gpu import table
from benchmarks.on_gpu.runner import ROOT, Step, report, run_step
from benchmarks.on_gpu.steps import BACKENDS, DRY, FASTEST, FULL, KINDS, fastest, machine_step, plan_steps
from benchmarks.on_gpu.telling import WITHOUT_GPU, last_line

RESULTS = Path(__file__).with_name("gpu.json")
CORPUS = "tinyshakespeare.txt"
SECONDS_TO_END = 6.0  # of the time, for writing and printing


class CheckError(Exception):
    """The check cannot start; the message is one line."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the check and return the exit code: 1 if a part did not pass, 2 if there was nothing to check."""
    began = time.monotonic()
    options = _parser().parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="gpu-check-") as site:
        try:
            _check_options(options)
            environment = _environment(options, Path(site))
            check = Check(options, environment, ends=began + 60 * options.minutes - SECONDS_TO_END)
            check.find_backends()
        except CheckError as error:
            print(f"Error: {error}", file=sys.stderr)
            return 2
        try:
            check.run()
        except KeyboardInterrupt:
            return 130
        finally:
            print(table.markdown(check.results))
    return 0 if table.passed(check.results) else 1


class Check:
    """Runs the steps one after another, and collects their reports."""

    def __init__(self, options: argparse.Namespace, environment: dict[str, str], *, ends: float) -> None:
        self._options, self._environment, self._ends = options, environment, ends
        self._scale = DRY if options.dry else FULL
        self._backends: list[str] = []
        self.results: dict[str, Any] = {
            "began": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
            "minutes": options.minutes,
            "device": "CPU, a dry run" if options.dry else "GPU",
            "steps": [],
        }

    def find_backends(self) -> None:
        """Run the first step, and keep the usable backends. Raises CheckError if there is none."""
        asked = self._options.backends or [one for one in BACKENDS if find_spec(one)]
        if not asked:
            raise CheckError(f"none of {', '.join(BACKENDS)} is installed")
        told = self._report(machine_step(asked, self._scale))
        if told["outcome"] != "done":
            raise CheckError(f"the check cannot start: its first step was {told['outcome']}; {told['why']}")
        backends = [row for row in told["rows"] if "backend" in row and "failed" not in row]
        self._backends = [row["backend"] for row in backends if row["gpu"] or self._options.dry]
        self.results["steps"].append(told)
        if not self._backends:
            seen = table.machine(self.results)
            raise CheckError(f"no GPU is found by {', '.join(asked)}; to try the check on a CPU: --dry\n\n{seen}")

    def run(self) -> None:
        """Run the other steps while there is time, and write the results after each."""
        options, torch = self._options, find_spec("torch") is not None
        self._write()
        for step in plan_steps(self._backends, self._scale, torch=torch, corpus=options.corpus):
            if step.kind in options.steps:
                self._keep(self._report(self._filled_in(step)))
        if "quality" in options.steps and options.corpus is None:
            step = Step("quality", ("quality",), limit=0)
            self._keep(report(step, "skipped", why=f"no such file: {CORPUS}; give it with --corpus"))

    def _filled_in(self, step: Step) -> Step:
        best = fastest(self._backends, self.results["steps"])
        return step._replace(program=tuple(best if part == FASTEST else part for part in step.program))

    def _report(self, step: Step) -> dict[str, Any]:
        """Run a step if there is time for it, and return its report."""
        left = self._ends - time.monotonic()
        if left < step.needs:
            told = report(step, "skipped", why=f"it needs {step.needs:.0f} s, {max(0.0, left):.0f} s were left")
        else:
            print(f"{step.name} ...", file=sys.stderr, flush=True)
            told = run_step(step, seconds=min(step.limit, left), environment=self._environment)
        print(f"{step.name}: {told['outcome']}, {told['seconds']} s {told['why']}".rstrip(), file=sys.stderr, flush=True)
        return told

    def _keep(self, told: dict[str, Any]) -> None:
        self.results["steps"].append(told)
        self._write()

    def _write(self) -> None:
        """Write the results atomically."""
        if path := self._options.output:
            unfinished = path.with_name(f".{path.name}.unfinished")
            unfinished.write_text(json.dumps(self.results, indent=1) + "\n", encoding="utf-8")
            unfinished.replace(path)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu_check", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--minutes", type=float, default=9.0, help="minutes after which the check has ended [9]")
    parser.add_argument(
        "--dry", action="store_true", help="try every step on the CPU with tiny sizes; keep nothing unless --output"
    )
    parser.add_argument(
        "--wheels", type=Path, metavar="FOLDER", help="folder of make gpu-wheels; installs from it what is missing"
    )
    parser.add_argument(
        "--corpus", type=Path, metavar="FILE", help=f"text for the quality step [{CORPUS} of --wheels, or shared]"
    )
    parser.add_argument("--backends", type=_names(*BACKENDS), help="such as jax,torch [all that are installed]")
    parser.add_argument("--steps", type=_names(*KINDS), default=list(KINDS), help=f"some of {','.join(KINDS)} [all]")
    parser.add_argument("--output", type=Path, metavar="FILE", help="file of the results [benchmarks/gpu.json]")
    return parser


def _names(*known: str) -> Any:
    """Return an argparse type: some of the known names, separated by commas."""

    def names(text: str) -> list[str]:
        for name in text.split(","):
            if name not in known:
                raise argparse.ArgumentTypeError(f"{name!r} is not one of {', '.join(known)}")
        return text.split(",")

    return names


def _check_options(options: argparse.Namespace) -> None:
    """Check the options, and find the corpus. Raises CheckError."""
    if not (math.isfinite(options.minutes) and options.minutes > 0):
        raise CheckError(f"--minutes is {options.minutes:g}, expected a number above 0")
    if options.wheels and not any(options.wheels.glob("*.whl")):
        raise CheckError(f"--wheels {options.wheels} contains no wheels; make gpu-wheels downloads them")
    if options.corpus and not options.corpus.is_file():
        raise CheckError(f"--corpus {options.corpus} is not a file")
    places = [*([options.wheels] if options.wheels else []), ROOT.parent / "shared" / "data"]
    found = [place / CORPUS for place in places if (place / CORPUS).is_file()]
    options.corpus = (options.corpus or next(iter(found), None)) and (options.corpus or found[0]).resolve()
    options.output = options.output or (None if options.dry else RESULTS)


def _environment(options: argparse.Namespace, site: Path) -> dict[str, str]:
    """Return the environment of all steps, including packages installed from the wheels."""
    if options.wheels:
        install_missing(options.wheels, site)
    paths = [str(site), str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": os.pathsep.join(paths)}
    return os.environ | quiet | (WITHOUT_GPU if options.dry else {})


def install_missing(wheels: Path, site: Path) -> list[Path]:
    """Install into a folder the wheels whose package is missing or older here, and return their names."""
    missing = [path for path in sorted(wheels.glob("*.whl")) if not _is_here(*path.name.split("-")[:2])]
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index", "--no-deps"]
    done = subprocess.run(
        [*command, "--no-compile", "--no-cache-dir", "--target", str(site), *map(str, missing)],
        capture_output=True,
        text=True,
        check=False,
    )
    if missing and done.returncode:
        raise CheckError(f"the wheels of {wheels} cannot be installed: {last_line(done.stderr)}")
    return missing


def _is_here(name: str, wanted: str) -> bool:
    try:
        return _numbers(version(name)) >= _numbers(wanted)
    except PackageNotFoundError:
        return False


def _numbers(text: str) -> list[int]:
    """Return the numbers of a version, without the part after a plus sign.

    >>> _numbers("2.11.0+cu130")
    [2, 11, 0]
    """
    return [int(number) for number in re.findall(r"\d+", text.partition("+")[0])]


def stop(number: int, _: Any) -> NoReturn:
    """Exit when a signal comes, and end the current step."""
    raise SystemExit(128 + number)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, stop)
    sys.exit(main())

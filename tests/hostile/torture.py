"""The long tests for a table: how many damaged and malicious model files were tried, and how many were handled well."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tests.hostile.craft import valid_files
from tests.hostile.loading import refusal
from tests.hostile.mutations import flip_bits, truncate

ROOT = Path(__file__).parents[2]
MOST_MEMORY = 1_000_000_000  # bytes
REFUSALS = (
    "is not a model file that chargen can read: ",
    "holds a classifier, which writes no text",
    "no such run: ",
    "holds no model",
    "cannot read the run",
)


class Torture(NamedTuple):
    """The number of files tried, and the number refused in one line without any other effect."""

    tried: int
    survived: int


def torture_by_damage(trials: int = 1000, *, random_seed: int = 0) -> Torture:
    """Truncate model files, and flip one bit of them, `trials` times each; every one must be refused."""
    rng = np.random.default_rng(random_seed)
    files = list(valid_files().values())
    survived = 0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.safetensors")
        for number in range(2 * trials):
            content = files[number // 2 % len(files)]
            path.write_bytes(truncate(content, rng) if number % 2 else flip_bits(content, rng, 1))
            survived += _is_refused(path)
    return Torture(2 * trials, survived)


def _is_refused(path: Path) -> bool:
    try:
        return refusal(path) is not None
    except Exception:
        return False


def torture_by_attacks(size: str = "large") -> Torture:
    """Run commands on all attacks under guard; if they need too much memory together, none counts as passed."""
    with tempfile.TemporaryDirectory() as parent:
        (folder := Path(parent, "attacks")).mkdir()
        report = attack(folder, size)
    survived = sum(not complaints(run) for run in report["runs"])
    return Torture(len(report["runs"]), survived if report["peak_bytes"] < MOST_MEMORY else 0)


def attack(folder: Path, size: str) -> dict[str, Any]:
    """Write the attacks ("small", or also "large" ones) into a folder; return the report of `guarded`."""
    command = [sys.executable, "-m", "tests.hostile.guarded", str(folder), size]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return json.loads(done.stdout)


def complaints(run: dict[str, Any]) -> list[str]:
    """Return what is wrong with a command's handling of an attack."""
    stderr = run["stderr"]
    rules = {
        f"exit code {run['code']}": run["code"] == 2,
        f"wrote {run['stdout']!r:.100}": run["stdout"] == "",
        f"said {stderr!r:.500}": stderr.startswith("chargen: ") and stderr.count("\n") == 1 and stderr.strip().isprintable(),
        f"refused for another reason: {stderr!r:.500}": any(message in stderr for message in REFUSALS),
        f"did more than read the file: {run['seen']}": not run["seen"],
    }
    return [f"{run['path']} {run['command']}: {wrong}" for wrong, kept in rules.items() if not kept]


if __name__ == "__main__":
    print("damage:", torture_by_damage())
    print("attacks:", torture_by_attacks())

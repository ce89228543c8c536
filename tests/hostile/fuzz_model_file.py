"""Damage model files for a while and see that each either loads or is refused in one line.

    python -m tests.hostile.fuzz_model_file --minutes 10

What does neither is kept in tests/findings, which the ordinary tests replay.
"""

import argparse
import hashlib
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from tests.hostile.craft import valid_files
from tests.hostile.loading import refusal
from tests.hostile.mutations import mutate

FINDINGS = Path(__file__).parents[1] / "findings"
SLOW = 5.0  # seconds; no small file may take so long


def fuzz(seconds: float, *, random_seed: int) -> tuple[int, int, dict[str, Path]]:
    """Damage valid files at random for a while; return how many were tried and loaded, and the findings."""
    rng = np.random.default_rng(random_seed)
    files = list(valid_files().values())
    tried, loaded, findings = 0, 0, dict[str, Path]()
    until = time.monotonic() + seconds
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.safetensors")
        while time.monotonic() < until:
            content = mutate(files[rng.integers(len(files))], rng)
            path.write_bytes(content)
            wrong, is_model = _outcome(path)
            tried, loaded = tried + 1, loaded + is_model
            if wrong and wrong not in findings:
                findings[wrong] = _keep(content, wrong)
    return tried, loaded, findings


def _outcome(path: Path) -> tuple[str | None, bool]:
    """Return what is wrong with how a file is met, and whether it is a model."""
    began = time.monotonic()
    try:
        is_model = refusal(path, use=True) is None
    except Exception as error:
        return f"{type(error).__name__}: {error}"[:80], False
    return ("slow" if time.monotonic() - began > SLOW else None), is_model


def _keep(content: bytes, wrong: str) -> Path:
    path = FINDINGS / f"{hashlib.sha256(content).hexdigest()[:16]}.safetensors"
    path.write_bytes(content)
    print(f"{path.name}: {wrong}", file=sys.stderr)
    return path


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--random-seed", type=int, default=None)
    options = parser.parse_args()
    random_seed = time.time_ns() % 2**32 if options.random_seed is None else options.random_seed
    tried, loaded, findings = fuzz(60 * options.minutes, random_seed=random_seed)
    print(f"{tried:,} damaged files (seed {random_seed}): {loaded:,} loaded, {len(findings)} findings")
    sys.exit(1 if findings else 0)


if __name__ == "__main__":
    main()

"""Damage model files for some time and check that each loads or is refused in one line.

    python -m tests.hostile.fuzz_model_file --minutes 10

A file that does neither is kept in tests/findings, and the ordinary tests load it again.
"""

import argparse
import hashlib
import sys
import tempfile
import time
from collections.abc import Iterable
from itertools import count, takewhile
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tests.hostile.craft import valid_files
from tests.hostile.loading import refusal
from tests.hostile.mutations import mutate

FINDINGS = Path(__file__).parents[1] / "findings"
SLOW = 5.0  # seconds; a small file must load faster


class Fuzzed(NamedTuple):
    """The number of damaged files tried, the number that loaded, and one file for each fault."""

    tried: int
    loaded: int
    findings: dict[str, Path]


def fuzz(rounds: Iterable[int], *, random_seed: int, keep_in: Path = FINDINGS) -> Fuzzed:
    """Damage a valid file at random in each round, load the result, and keep one file for each fault."""
    rng = np.random.default_rng(random_seed)
    files = list(valid_files().values())
    tried, loaded, findings = 0, 0, dict[str, Path]()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.safetensors")
        for _ in rounds:
            content = mutate(files[rng.integers(len(files))], rng)
            path.write_bytes(content)
            wrong, is_model = _outcome(path)
            tried, loaded = tried + 1, loaded + is_model
            if wrong and wrong not in findings:
                findings[wrong] = _keep(content, wrong, keep_in)
    return Fuzzed(tried, loaded, findings)


def _outcome(path: Path) -> tuple[str | None, bool]:
    """Return what is wrong with the handling of a file, and whether it is a model."""
    began = time.monotonic()
    try:
        is_model = refusal(path, use=True) is None
    except Exception as error:
        return f"{type(error).__name__}: {error}"[:80], False
    return ("slow" if time.monotonic() - began > SLOW else None), is_model


def _keep(content: bytes, wrong: str, folder: Path) -> Path:
    path = folder / f"{hashlib.sha256(content).hexdigest()[:16]}.safetensors"
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
    until = time.monotonic() + 60 * options.minutes
    tried, loaded, findings = fuzz(takewhile(lambda _: time.monotonic() < until, count()), random_seed=random_seed)
    print(f"{tried:,} damaged files (seed {random_seed}): {loaded:,} loaded, {len(findings)} findings")
    sys.exit(1 if findings else 0)


if __name__ == "__main__":
    main()

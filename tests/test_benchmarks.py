"""The benchmark of a GPU, tried on a CPU, and how benchmarks share the cores."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from benchmarks.commands import side_by_side
from benchmarks.table import markdown

REPOSITORY = Path(__file__).parents[1]
INSTALLED = find_spec("jax") is not None and find_spec("torch") is not None
ENGINES = ["chargen-jax", "chargen-torch", "torch"]

needs_both = pytest.mark.skipif(not INSTALLED, reason="jax or torch is not installed: make test-backends installs them")


def benchmark(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks", "gpu", *arguments]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)


@needs_both
def test_all_engines_take_turns_and_nothing_is_kept_of_a_trial() -> None:
    results = REPOSITORY / "benchmarks" / "results.json"
    before = results.read_bytes()
    done = benchmark("--device", "cpu", "--sizes", "1x256x16x256", "--turns", "2", "--seconds", "0.05", "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["machine"].startswith("no GPU")
    assert [row["what"] for row in report["rows"]] == [f"lstm 1x256, 256 windows of 16, {engine}" for engine in ENGINES]
    assert all(0 < row["min"] <= row["median"] <= row["max"] for row in report["rows"])
    assert ["chargen_is_faster_by" in row for row in report["rows"]] == [True, True, False]
    assert results.read_bytes() == before


@needs_both
def test_without_a_gpu_it_says_so_in_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    done = benchmark()
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "Error: jax sees no GPU; to try the script: --device cpu --sizes 1x256x16x256\n"


def test_a_size_that_is_none_is_refused() -> None:
    done = benchmark("--sizes", "2x512")
    assert done.returncode == 2
    assert "'2x512' is no size such as 2x512x100x256" in done.stderr


def test_figures_of_a_gpu_have_a_table() -> None:
    rows = [
        {"what": "lstm 2x5, 4 windows of 6, chargen-jax", "unit": "chars/s", "median": 2000.4, "chargen_is_faster_by": 1.25},
        {"what": "lstm 2x5, 4 windows of 6, torch", "unit": "chars/s", "median": 1600.0},
    ]
    shown = markdown({"gpu": {"machine": "a GPU", "rows": rows}}).splitlines()
    assert "| lstm 2x5, 4 windows of 6, chargen-jax | 2,000 chars/s | 1.25 x |" in shown
    assert "| lstm 2x5, 4 windows of 6, torch | 1,600 chars/s |  |" in shown


def test_work_side_by_side_has_a_core_each_and_keeps_its_order() -> None:
    own = os.sched_getaffinity(0)
    script = "import os, sys; print(sys.argv[1], len(os.sched_getaffinity(0)))"

    def work(number: int) -> str:
        command = [sys.executable, "-c", script, str(number)]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    assert side_by_side(work, range(5)) == [f"{number} 1" for number in range(5)]
    assert os.sched_getaffinity(0) == own

"""The GPU check, tried on a CPU: its behaviour if all goes well, and if a part fails, hangs or has no time."""

import json
import os
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from benchmarks import gpu_check
from benchmarks.on_gpu import table
from benchmarks.on_gpu.forms import ordered_forms
from benchmarks.on_gpu.runner import Step, run_step
from benchmarks.on_gpu.steps import DRY, FULL, plan_steps
from tests.pretended_gpu_step import reported

REPOSITORY = Path(__file__).parents[1]
KERAS = pytest.mark.skipif(find_spec("tensorflow") is None, reason="tensorflow is not installed: pip install tensorflow")


def check(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks.gpu_check", *map(str, arguments)]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)


@KERAS
def test_the_dry_form_measures_compares_and_prints_a_table(tmp_path: Path) -> None:
    output, kept = tmp_path / "gpu.json", REPOSITORY / "benchmarks" / "gpu.json"
    before = kept.read_bytes() if kept.exists() else None
    parts = "machine,products,correctness,speed"
    done = check("--dry", "--minutes", 60, "--backends", "tensorflow", "--steps", parts, "--output", output)
    assert done.returncode == 0, done.stderr
    assert (kept.read_bytes() if kept.exists() else None) == before
    results = json.loads(output.read_text(encoding="utf-8"))
    assert [(one["kind"], one["outcome"]) for one in results["steps"]] == [(kind, "done") for kind in parts.split(",")]
    machine, products, forms, speed = (one["rows"] for one in results["steps"])
    assert machine[-1] | {"gpu": None, "backend": "tensorflow"} == machine[-1]
    assert [row["kind"] for row in products] == ["float32", "tf32", "bfloat16"]
    assert [(row["form"], row["difference"], row["passed"]) for row in forms] == [(str(ordered_forms()[0]), 0.0, True)]
    assert [row["engine"] for row in speed] == ["chargen"]
    assert 0 < speed[0]["min"] <= speed[0]["median"] <= speed[0]["max"]
    assert len(speed[0]["rates"]) == DRY.turns
    assert done.stdout.strip() == table.markdown(results)
    assert "| tensorflow, float32 without TF32 | 1 of 1 | 60 | 0 | 0.001 |" in done.stdout
    assert "a dry run" in done.stdout


@pytest.mark.parametrize(
    ("program", "arguments", "what"),
    [
        ("commands", (16, 24, "numpy"), ["training, and text written by NumPy", "resuming in the middle of an epoch"]),
        ("start", ("numpy", 1, "1x16x16x64"), ["1x16x16x64"]),
        ("quality", ("numpy", 0.03), ["stream, memory", "stream", "blocks of 256, memory", "blocks of 256"]),
    ],
)
def test_the_steps_that_run_whole_commands(program: str, arguments: tuple[Any, ...], what: list[str], tmp_path: Path) -> None:
    if program == "quality":
        (tmp_path / "sea.txt").write_text("The sea was calm, and no one spoke.\n" * 60, encoding="utf-8")
        arguments = (*arguments, tmp_path / "sea.txt")
    step = Step(program, (f"benchmarks.on_gpu.{program}", *map(str, arguments)), limit=600)
    report = run_step(step, seconds=600, environment=os.environ)
    assert (report["outcome"], report["why"]) == ("done", "")
    key = {"commands": "what", "start": "size", "quality": "protocol"}[program]
    assert [row[key] for row in report["rows"]] == what
    assert table.passed({"steps": [report]})
    if program == "commands":
        assert report["rows"][1]["difference"] == 0
        assert report["rows"][1]["same_weights"]
        assert report["rows"][0]["text"]
    if program == "quality":
        assert all(0 < row["nats"] < 5 for row in report["rows"])


def test_a_command_that_fails_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    step = Step("commands", ("benchmarks.on_gpu.commands", "0", "24", "numpy"), limit=600)
    report = run_step(step, seconds=600, environment=os.environ)
    assert report["outcome"] == "done"
    assert [row["passed"] for row in report["rows"]] == [False]
    assert "--hidden-size" in report["rows"][0]["why"]
    assert not table.passed({"steps": [report]})


@pytest.mark.parametrize(
    ("how", "seconds", "outcome", "why"),
    [
        ("ends", 60, "done", "half of it"),
        ("raises", 60, "failed", "exit code 1: RuntimeError: CUDNN_STATUS_EXECUTION_FAILED; half of it"),
        ("dies", 60, "failed", "exit code -11: no message; half of it"),
        ("hangs", 5, "out of time", "ended after 5 s; half of it"),
    ],
)
def test_a_step_that_fails_keeps_its_rows_and_leaves_no_process(how: str, seconds: float, outcome: str, why: str) -> None:
    report = run_step(Step("try", ("tests.pretended_gpu_step", how), limit=60), seconds=seconds, environment=os.environ)
    assert (report["step"], report["outcome"], report["why"]) == (f"try {how}", outcome, why)
    (row,) = report["rows"]
    assert_ended(row["own"], row["child"])


def test_a_check_that_is_stopped_leaves_no_process(tmp_path: Path) -> None:
    script = (
        "import signal, sys; from benchmarks import gpu_check; from benchmarks.on_gpu.runner import Step; "
        "signal.signal(signal.SIGTERM, gpu_check.stop); "
        "gpu_check.machine_step = lambda *_: Step('machine', ('tests.pretended_gpu_step', 'hangs'), 60); "
        "sys.exit(gpu_check.main(['--dry', '--backends', 'jax', '--output', sys.argv[1]]))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path / "gpu.json")], cwd=REPOSITORY, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    assert process.stderr.readline().startswith("machine")
    own = wait_for(lambda: children(process.pid))
    below = wait_for(lambda: children(own[0]))
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
    assert_ended(*own, *below)


def children(process: int) -> list[int]:
    """Return the child processes of a process."""
    found = Path(f"/proc/{process}/task/{process}/children").read_text(encoding="ascii")
    return [int(one) for one in found.split()]


def wait_for(found: Any) -> list[int]:
    ends = time.monotonic() + 60
    while not (numbers := found()):
        assert time.monotonic() < ends
        time.sleep(0.05)
    return numbers


def assert_ended(*processes: int) -> None:
    """Fail if a process still runs after some time; a zombie process counts as ended."""
    ends = time.monotonic() + 60
    for number in processes:
        while runs(number):
            assert time.monotonic() < ends, number
            time.sleep(0.05)


def runs(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("--minutes", "0"), "Error: --minutes is 0, expected a number above 0"),
        (("--minutes", "nan"), "Error: --minutes is nan, expected a number above 0"),
        (("--wheels", "nowhere"), "Error: --wheels nowhere contains no wheels; make gpu-wheels downloads them"),
        (("--corpus", "nowhere.txt"), "Error: --corpus nowhere.txt is not a file"),
        (("--minutes", "0.1"), "Error: the check cannot start: its first step was skipped; it needs 15 s, 0 s were left"),
    ],
)
def test_what_cannot_be_checked_is_refused_in_a_line(
    arguments: tuple[str, ...], line: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    output = tmp_path / "gpu.json"
    assert gpu_check.main(["--dry", "--backends", "jax", "--output", str(output), *arguments]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.splitlines()[-1] == line


def test_steps_that_do_not_fit_are_skipped_and_the_others_go_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The test controls the clock: each step takes 100 of 540 seconds."""
    now = [0.0]
    backend = {"backend": "torch", "gpu": "a GPU", "cuda": "13.0", "cudnn": 92000, "tf32": "cuDNN yes"}

    def run(step: Step, *, seconds: float, environment: dict[str, str]) -> dict[str, Any]:
        now[0] += 100
        begun.append((step, seconds))
        if step.kind == "correctness":
            return reported("correctness", outcome="failed", why="exit code 1: no message")
        return reported(step.kind, *([backend] if step.kind == "machine" else []))

    begun: list[tuple[Step, float]] = []
    monkeypatch.setattr(gpu_check, "run_step", run)
    monkeypatch.setattr(gpu_check.time, "monotonic", lambda: now[0])
    corpus, output = tmp_path / "tinyshakespeare.txt", tmp_path / "gpu.json"
    corpus.write_text("text", encoding="utf-8")
    assert gpu_check.main(["--backends", "torch", "--corpus", str(corpus), "--output", str(output)]) == 1
    assert [step.kind for step, _ in begun] == ["machine", "products", "correctness", "speed", "speed", "commands"][
        : len(begun)
    ]
    assert all(seconds <= step.limit for step, seconds in begun)
    assert begun[-1][1] == 34.0  # what is left before the end
    results = json.loads(output.read_text(encoding="utf-8"))
    quality = next(one for one in results["steps"] if one["kind"] == "quality")
    assert (quality["outcome"], quality["why"]) == ("skipped", "it needs 210 s, 0 s were left")
    assert len(results["steps"]) == 1 + len(plan_steps(["torch"], FULL, torch=True, corpus=corpus))
    assert "| correctness | failed | 1 | exit code 1: no message |" in capsys.readouterr().out


def test_without_the_text_its_step_is_skipped_with_the_way_to_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    backend = {"backend": "torch", "gpu": None, "cuda": None, "cudnn": None, "tf32": "no"}
    monkeypatch.setattr(gpu_check, "run_step", lambda step, **_: reported(step.kind, backend))
    monkeypatch.setattr(gpu_check, "ROOT", tmp_path / "alone")
    output = tmp_path / "gpu.json"
    arguments = ["--dry", "--backends", "torch", "--steps", "machine,quality", "--output", str(output)]
    assert gpu_check.main(arguments) == 0
    *_, last = json.loads(output.read_text(encoding="utf-8"))["steps"]
    assert (last["step"], last["outcome"]) == ("quality", "skipped")
    assert last["why"] == "no such file: tinyshakespeare.txt; give it with --corpus"


def test_without_a_gpu_it_says_so_and_keeps_the_old_results(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{"what": "card", "value": "none"}, {"backend": "jax", "gpu": None, "cuda": None, "cudnn": None, "tf32": "no"}]
    monkeypatch.setattr(gpu_check, "run_step", lambda step, **_: reported("machine", *rows))
    output = tmp_path / "gpu.json"
    output.write_text("{}", encoding="utf-8")
    assert gpu_check.main(["--backends", "jax", "--output", str(output)]) == 2
    shown = capsys.readouterr()
    assert "Error: no GPU is found by jax; to try the check on a CPU: --dry\n" in shown.err
    assert output.read_text(encoding="utf-8") == "{}"

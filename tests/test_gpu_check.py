"""The check of a GPU, tried on a CPU: what it does when all goes well, and when a part of it fails, hangs or has no time."""

import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from importlib.util import find_spec
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from benchmarks import gpu_check, gpu_wheels
from benchmarks.engines import ENGINES, parse_size
from benchmarks.on_gpu import correctness, table
from benchmarks.on_gpu.busy import Samples, sampled_gpu
from benchmarks.on_gpu.forms import Form, ordered_forms
from benchmarks.on_gpu.runner import Step, run_step
from benchmarks.on_gpu.speed import Turns, operations
from benchmarks.on_gpu.steps import DRY, FASTEST, FULL, KINDS, fastest, plan_steps
from chargen.config import NetworkConfig
from chargen.resolution import resolve

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
        ("quality", ("numpy", 0.03), ["stream", "blocks of 256"]),
    ],
)
def test_the_steps_that_run_whole_commands(program: str, arguments: tuple[Any, ...], what: list[str], tmp_path: Path) -> None:
    if program == "quality":
        (tmp_path / "sea.txt").write_text("The sea was calm, and no one spoke.\n" * 60, encoding="utf-8")
        arguments = (*arguments, tmp_path / "sea.txt")
    step = Step(program, (f"benchmarks.on_gpu.{program}", *map(str, arguments)), limit=600)
    told = run_step(step, seconds=600, environment=os.environ)
    assert (told["outcome"], told["why"]) == ("done", "")
    key = {"commands": "what", "start": "size", "quality": "protocol"}[program]
    assert [row[key] for row in told["rows"]] == what
    assert table.passed({"steps": [told]})
    if program == "commands":
        assert told["rows"][1]["difference"] == 0
        assert told["rows"][1]["same_weights"]
        assert told["rows"][0]["text"]
    if program == "quality":
        assert all(0 < row["nats"] < 5 for row in told["rows"])


def test_a_command_that_fails_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    step = Step("commands", ("benchmarks.on_gpu.commands", "0", "24", "numpy"), limit=600)
    told = run_step(step, seconds=600, environment=os.environ)
    assert told["outcome"] == "done"
    assert [row["passed"] for row in told["rows"]] == [False]
    assert "--hidden-size" in told["rows"][0]["why"]
    assert not table.passed({"steps": [told]})


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
    told = run_step(Step("try", ("tests.pretended_gpu_step", how), limit=60), seconds=seconds, environment=os.environ)
    assert (told["step"], told["outcome"], told["why"]) == (f"try {how}", outcome, why)
    (row,) = told["rows"]
    assert_ended(row["own"], row["child"])


def test_a_check_that_is_stopped_leaves_no_process(tmp_path: Path) -> None:
    script = (
        "import sys; from benchmarks import gpu_check; from benchmarks.on_gpu.runner import Step; "
        "gpu_check.machine_step = lambda names: Step('machine', ('tests.pretended_gpu_step', 'hangs'), 60); "
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
    """Return the processes that a process has started."""
    found = Path(f"/proc/{process}/task/{process}/children").read_text(encoding="ascii")
    return [int(one) for one in found.split()]


def wait_for(found: Any) -> list[int]:
    ends = time.monotonic() + 60
    while not (numbers := found()):
        assert time.monotonic() < ends
        time.sleep(0.05)
    return numbers


def assert_ended(*processes: int) -> None:
    """Fail if a process still runs some time later; one that is dead but not collected has ended."""
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
        (("--wheels", "nowhere"), "Error: --wheels nowhere holds no wheels; make gpu-wheels downloads them"),
        (("--corpus", "nowhere.txt"), "Error: --corpus nowhere.txt is no file"),
        (("--minutes", "0.1"), "Error: the check cannot begin: its first step was skipped; it needs 15 s, 0 s were left"),
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


def reported(kind: str, *rows: dict[str, Any], outcome: str = "done", why: str = "") -> dict[str, Any]:
    return {"step": kind, "kind": kind, "outcome": outcome, "why": why, "seconds": 1.0, "rows": list(rows)}


def test_steps_that_do_not_fit_are_skipped_and_the_others_go_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The clock is the test's own: each step takes 100 of 540 seconds."""
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


def test_without_a_gpu_it_says_so_and_keeps_the_old_results(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{"what": "card", "value": "none"}, {"backend": "jax", "gpu": None, "cuda": None, "cudnn": None, "tf32": "no"}]
    monkeypatch.setattr(gpu_check, "run_step", lambda step, **_: reported("machine", *rows))
    output = tmp_path / "gpu.json"
    output.write_text("{}", encoding="utf-8")
    assert gpu_check.main(["--backends", "jax", "--output", str(output)]) == 2
    shown = capsys.readouterr()
    assert "Error: no GPU is seen by jax; to try the check on a CPU: --dry\n" in shown.err
    assert output.read_text(encoding="utf-8") == "{}"


def test_without_the_corpus_the_step_is_skipped_with_the_way_to_it() -> None:
    assert "quality" not in {step.kind for step in plan_steps(["jax"], FULL, torch=False, corpus=None)}
    assert "quality" in {step.kind for step in plan_steps(["jax"], FULL, torch=False, corpus=Path("sea.txt"))}


def test_every_step_is_a_kind_and_a_program_and_every_engine_is_known() -> None:
    for scale in (DRY, FULL):
        steps = plan_steps(["jax", "torch", "tensorflow"], scale, torch=True, corpus=Path("/text/sea.txt"))
        assert {step.kind for step in steps} == set(KINDS) - {"machine"}
        for step in steps:
            assert find_spec(step.program[0]) is not None
            assert step.needs <= step.limit
            if step.kind == "speed":
                assert parse_size(step.program[2])
                assert set(step.program[5:]) <= set(ENGINES)
        assert next(step.name for step in steps if step.kind == "quality").endswith(" sea.txt")


def test_the_fastest_backend_trains_the_longest() -> None:
    rows = [
        {"engine": "chargen-jax", "median": 2.0},
        {"engine": "chargen-torch", "median": 3.0},
        {"engine": "torch", "median": 9.0},
    ]
    assert fastest(["jax", "torch"], [reported("machine"), reported("speed", *rows)]) == "torch"
    assert fastest(["jax", "torch"], [reported("speed", {"engine": "chargen-jax", "failed": "x"})]) == "jax"
    assert FASTEST in plan_steps(["jax"], FULL, torch=False, corpus=Path("sea.txt"))[6].program


def test_forms_can_all_be_trained_and_the_first_of_them_cover_every_pair_of_choices() -> None:
    forms = ordered_forms()
    assert len(set(forms)) == len(forms) == 3 * 2 * 2 * 5 * 4
    pairs = [set(combinations(enumerate(form), 2)) for form in forms]
    assert set().union(*pairs[: FULL.forms[0]]) == set().union(*pairs)
    for form in forms:
        assert Form.parse(str(form)) == form
        settings = resolve(("test", form.sections("sea.txt", "jax"))).settings
        assert settings.network.cell == form.cell
        assert settings.training.stateful == (form.state == "stateful")
        assert (settings.network.embedding_size == 0) == (form.inputs == "one-hot")
        assert (settings.network == settings.network.undropped()) == (form.dropout == "nothing dropped")
        assert settings.training.precision == (form.precision if "mixed" in form.precision else "float32")


ANSWER = {"losses": [4.0, 3.5], "begun": "a", "text": "The end"}


@pytest.mark.parametrize(
    ("gpu", "cpu", "precision", "why"),
    [
        ({}, {}, "float32", ""),
        ({"losses": [4.0, 3.5009]}, {}, "float32", ""),
        ({"losses": [4.0, 3.502]}, {}, "float32", "losses differ by 0.002"),
        ({"losses": [4.0, 3.502]}, {}, "mixed_bfloat16", ""),
        ({"losses": [4.0, 3.53]}, {}, "mixed_bfloat16", "losses differ by 0.03"),
        ({"losses": [4.0, float("nan")]}, {}, "mixed_float16", "a loss is not finite"),
        ({"begun": "b"}, {}, "float32", "the weights at the beginning differ"),
        ({"text": "The "}, {}, "float32", "the model file writes nothing"),
        ({"failed": "no memory"}, {}, "float32", "on the GPU: no memory"),
        ({}, {"failed": "no memory"}, "float32", "on the CPU: no memory"),
    ],
)
def test_what_differs_is_named(gpu: dict[str, Any], cpu: dict[str, Any], precision: str, why: str) -> None:
    form = ordered_forms()[0]._replace(precision=precision)
    row = correctness.compare("jax", form, ANSWER | gpu, ANSWER | cpu)
    assert (row["passed"], row["why"]) == (not why, why)
    json.dumps(row, allow_nan=False)


DIES_OF_GRUS = """
import json, sys
for line in sys.stdin:
    if line.startswith("gru"):
        sys.exit("Segmentation fault")
    print(json.dumps({"form": line.strip()}), flush=True)
"""


def test_a_process_that_dies_costs_one_form(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def worker(self: correctness.Device, folder: Path, errors: Any) -> subprocess.Popen[str]:
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": errors}
        return subprocess.Popen([sys.executable, "-c", DIES_OF_GRUS], text=True, **pipes)

    monkeypatch.setattr(correctness.Device, "_worker", worker)
    forms = ordered_forms()[:9]
    device = correctness.Device("jax", forms, gpu=False, folder=tmp_path / "cpu")
    device.start(2)
    wait_for(lambda: [1] if len(device.answers) == len(forms) else [])
    for form in forms:
        wanted = {"failed": "Segmentation fault"} if form.cell == "gru" else {"form": str(form)}
        assert device.answers[form] == wanted


class PretendedWorker:
    """Has as many turns as it is given rates for."""

    def __init__(self, *rates: float) -> None:
        self._rates = list(rates)

    def wait_until_ready(self) -> None:
        if not self._rates:
            raise RuntimeError("it did not start:\nTraceback ...\nOutOfMemoryError: 90 GB\n")

    def measure(self) -> float:
        if not self._rates:
            raise RuntimeError("it ended:\nOutOfMemoryError: 80 GB\n")
        return self._rates.pop(0)

    def peak_memory(self) -> int:
        return 1000 + len(self._rates)


@pytest.mark.parametrize(
    ("rates", "row"),
    [
        ((9.0, 2.0, 1.0, 4.0), {"median": 2.0, "min": 1.0, "max": 4.0, "rates": [2.0, 1.0, 4.0], "peak_bytes": 1000}),
        ((9.0, 3.0, 5.0), {"median": 4.0, "min": 3.0, "max": 5.0, "rates": [3.0, 5.0], "peak_bytes": 1000}),
        ((9.0,), {"failed": "OutOfMemoryError: 80 GB"}),
        ((), {"failed": "OutOfMemoryError: 90 GB"}),
    ],
)
def test_an_engine_that_fails_keeps_the_turns_before(rates: tuple[float, ...], row: dict[str, Any]) -> None:
    turns = Turns("torch", PretendedWorker(*rates))
    turns.get_ready()
    turns.take(None)  # the first is not counted
    for _ in range(3):
        turns.take(Samples())
    wanted = {"engine": "torch"} | row | ({} if "failed" in row else {"busy": None})
    assert turns.row() == wanted


def test_operations_are_those_of_the_products() -> None:
    size = parse_size("2x5x9x3")
    products = 64 * 20 + 5 * 20 + 2 * 5 * 20 + 5 * 66
    assert operations("lstm", size) == 6 * products
    assert NetworkConfig().embedding_size == 64


def test_how_busy_a_gpu_is_comes_from_nvidia_smi(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho '[N/A]'\nwhile true; do echo 80; sleep 0.02; done\n", encoding="ascii")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    with sampled_gpu() as samples:
        began = time.monotonic()
        while samples.share(began, time.monotonic()) is None:
            assert time.monotonic() < began + 60
        assert samples.share(began, time.monotonic()) == 0.8
        assert samples.share(began - 2, began - 1) is None


def test_without_nvidia_smi_nobody_knows_how_busy_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with sampled_gpu() as samples:
        assert samples.share(0, time.monotonic()) is None


def test_the_table_shows_what_was_measured_and_what_failed() -> None:
    speeds = [
        {"engine": "chargen-jax", "median": 2e6, "rates": [1.9e6, 2e6, 2.1e6], "busy": 0.75, "peak_bytes": 3_500_000_000},
        {"engine": "torch", "median": 1e6, "rates": [0.95e6, 1e6, 1.05e6], "busy": None, "peak_bytes": None},
        {"engine": "torch-bfloat16", "failed": "out of memory"},
    ]
    facts = {"cell": "lstm", "size": "2x512x100x256", "operations": 20_000_000, "batch": 25_600}
    wrong = {
        "backend": "jax",
        "form": "gru/windows",
        "precision": "float32",
        "difference": 0.5,
        "passed": False,
        "why": "far off",
    }
    results = {
        "began": "now",
        "minutes": 9.0,
        "device": "GPU",
        "steps": [
            reported("machine", {"what": "card", "value": "H100 | 80 GB"}, {"backend": "torch", "failed": "no driver"}),
            reported("products", {"kind": "tf32", "size": 8192, "backend": "jax", "tflops": 400.0, "published": 494.7}),
            reported("correctness", wrong),
            reported("speed", *[facts | row for row in speeds]),
            reported("start", {"backend": "jax", "size": "2x512x100x256", "seconds": 12.3}),
            reported("quality", outcome="skipped", why="it needs 205 s"),
        ],
    }
    shown = table.markdown(results).splitlines()
    network = "lstm 2x512, 256 windows of 100"
    for line in (
        "| quality | skipped | 1 | it needs 205 s |",
        "| card | H100 / 80 GB |",
        "| torch | failed: no driver |",
        "| float32 through TF32, 8192³, jax | 400 | 495 |",
        "| jax, float32 without TF32 | 0 of 1 | 60 | 0.5 | 0.001 |",
        "- jax, gru/windows: far off",
        f"| {network} | chargen-jax | 2,000,000 | 2.00 x | 10.0% | 75% | 12.8 | 3.2 | 3.50 |",
        f"| {network} | torch | 1,000,000 |  | 5.0% |  | 25.6 |  |  |",
        f"| {network} | torch-bfloat16 | failed: out of memory |  |  |  |  |  |  |",
        "| jax, 2x512x100x256 | 12.3 |",
    ):
        assert line in shown
    assert not table.passed(results)


def test_what_is_missing_is_installed_from_the_wheels(tmp_path: Path) -> None:
    for name, number in (("brandnew", "1.0"), ("click", "0.1")):
        write_wheel(tmp_path, name, number)
    assert [path.name for path in gpu_check.install_missing(tmp_path, tmp_path / "site")] == ["brandnew-1.0-py3-none-any.whl"]
    assert (tmp_path / "site" / "brandnew.py").is_file()
    assert not (tmp_path / "site" / "click.py").exists()


def test_a_wheel_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "brandnew-1.0-py3-none-any.whl").write_bytes(b"no wheel")
    with pytest.raises(gpu_check.CheckError, match="cannot be installed"):
        gpu_check.install_missing(tmp_path, tmp_path / "site")


def write_wheel(folder: Path, name: str, number: str) -> None:
    with zipfile.ZipFile(folder / f"{name}-{number}-py3-none-any.whl", "w") as file:
        file.writestr(f"{name}.py", "")
        file.writestr(f"{name}-{number}.dist-info/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {number}\n")
        file.writestr(f"{name}-{number}.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        file.writestr(f"{name}-{number}.dist-info/RECORD", "")


def test_the_wheels_are_those_of_the_dependencies(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    wanted = gpu_wheels.requirements()
    assert {"keras", "numpy", "click"} <= {one.partition(">")[0] for one in wanted}
    assert not [one for one in wanted if one.startswith(("tensorflow", "wandb"))]
    (tmp_path / "keras-1.0-py3-none-any.whl").write_bytes(b"an old one")
    commands = []
    monkeypatch.setattr(gpu_wheels.subprocess, "run", lambda command, check: commands.append(command))
    gpu_wheels.main(tmp_path)
    assert commands[0][-len(wanted) :] == wanted
    assert not list(tmp_path.glob("*.whl"))

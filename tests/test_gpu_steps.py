"""The steps of the GPU check: the list of steps, their comparisons and measurements, and the table."""

import json
import os
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
from benchmarks.on_gpu.speed import Turns, operations
from benchmarks.on_gpu.steps import DRY, FASTEST, FULL, KINDS, fastest, plan_steps
from chargen.settings.layers import resolve
from chargen.settings.schema import NetworkConfig
from tests.pretended_gpu_step import reported


def test_the_quality_is_measured_on_a_text() -> None:
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
    assert set().union(*pairs[: FULL.forms[0][1]]) == set().union(*pairs)
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
    ends = time.monotonic() + 60
    while len(device.answers) < len(forms):
        assert time.monotonic() < ends
        time.sleep(0.02)
    for form in forms:
        wanted = {"failed": "Segmentation fault"} if form.cell == "gru" else {"form": str(form)}
        assert device.answers[form] == wanted


class PretendedWorker:
    """A worker with one turn for each given speed."""

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

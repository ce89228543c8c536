"""List the steps of the GPU check, the most important first."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.on_gpu.runner import Step

KINDS = ("machine", "products", "correctness", "commands", "speed", "start", "quality")
BACKENDS = ("jax", "torch", "tensorflow")  # the default backends
FASTEST = "fastest"  # placeholder for the fastest backend in the speed steps
SECONDS_AROUND_TRAINING = 30.0  # seconds for the start before, and the measurement after


class Scale(NamedTuple):
    """The amount of work.

    forms: the ranges of forms to compare first, and at the end. speeds: cells and sizes, in order. patience: a factor for time
    limits.
    """

    product: int
    forms: tuple[tuple[int, int], ...]
    units: int
    steps: int
    speeds: tuple[tuple[str, str], ...]
    speeds_before_quality: int
    turns: int
    seconds_of_a_turn: float
    precisions: tuple[str, ...]
    starts: int
    start_size: str
    minutes: float
    patience: float


FULL = Scale(
    product=8192,
    forms=((0, 46), (46, 240)),
    units=128,
    steps=48,
    speeds=(
        ("lstm", "2x512x100x256"),
        ("gru", "2x512x100x256"),
        ("lstm", "3x1024x100x256"),
        ("lstm", "1x128x40x256"),
        ("lstm", "2x512x100x1024"),
        ("lstm", "2x512x100x64"),
        ("lstm", "3x1024x100x1024"),
        ("gru", "3x1024x100x256"),
        ("lstm", "1x8x2x2"),  # the time of a step without computation
        ("lstm", "3x1024x100x64"),
        ("gru", "2x512x100x1024"),
        ("gru", "1x128x40x256"),
        ("lstm", "1x128x40x64"),
        ("lstm", "1x128x40x1024"),
        ("gru", "3x1024x100x1024"),
        ("gru", "2x512x100x64"),
        ("gru", "3x1024x100x64"),
        ("gru", "1x128x40x64"),
        ("gru", "1x128x40x1024"),
    ),
    speeds_before_quality=2,
    turns=3,
    seconds_of_a_turn=1.0,
    precisions=("float32", "bfloat16"),
    starts=1,
    start_size="2x512x100x256",
    minutes=3.0,
    patience=1.0,
)
DRY = Scale(
    product=512,
    forms=((0, 1),),
    units=128,
    steps=24,
    speeds=(("lstm", "1x256x16x256"),),
    speeds_before_quality=1,
    turns=1,
    seconds_of_a_turn=0.02,
    precisions=("float32",),
    starts=1,
    start_size="1x256x16x256",
    minutes=0.05,
    patience=10.0,  # the machine may be busy
)


def machine_step(backends: Sequence[str], scale: Scale) -> Step:
    """Return the step that finds the backends with a GPU."""
    return _step("machine", *backends, limit=75 * scale.patience)


def plan_steps(backends: Sequence[str], scale: Scale, *, torch: bool, corpus: Path | None) -> list[Step]:
    """Return the further steps for usable backends. torch: whether its own layers can be measured too."""
    speeds = [_speed(backends, scale, *one, torch=torch) for one in scale.speeds]
    steps = [
        _step("products", "torch" if "torch" in backends else backends[0], scale.product, limit=45),
        _step("correctness", *scale.forms[0], *backends, limit=70),
        *speeds[: scale.speeds_before_quality],
        _step("commands", scale.units, scale.steps, *backends, limit=90),
        *[_step("start", one, scale.starts, scale.start_size, limit=75) for one in backends],
        *([_quality(scale, corpus)] if corpus else []),
        *speeds[scale.speeds_before_quality :],
        *[_step("correctness", *rest, *backends, limit=200) for rest in scale.forms[1:]],
    ]
    return [step._replace(limit=step.limit * scale.patience) for step in steps]


def _step(kind: str, *arguments: object, limit: float, needs: float = 15.0) -> Step:
    return Step(kind, (f"benchmarks.on_gpu.{kind}", *map(str, arguments)), limit, needs)


def _speed(backends: Sequence[str], scale: Scale, cell: str, size: str, *, torch: bool) -> Step:
    names = [engine_name(one) for one in backends] + (["torch"] if torch else [])
    endings = {"float32": "", "bfloat16": "-bfloat16"}
    engines = [f"{name}{endings[precision]}" for precision in scale.precisions for name in names]
    return _step("speed", cell, size, scale.turns, scale.seconds_of_a_turn, *engines, limit=75, needs=30)


def engine_name(backend: str) -> str:
    """Return chargen's name for a backend in `benchmarks.engines`."""
    return "chargen" if backend == "tensorflow" else f"chargen-{backend}"


def _quality(scale: Scale, corpus: Path) -> Step:
    seconds = 60 * scale.minutes
    around = SECONDS_AROUND_TRAINING
    return _step("quality", FASTEST, f"{scale.minutes:g}", corpus, limit=seconds + 4 * around, needs=seconds + around)


def fastest(backends: Sequence[str], reports: Sequence[dict[str, Any]]) -> str:
    """Return the fastest backend in float32 in the first comparison with a figure, or else the first backend."""
    for report in reports:
        rates = {row["engine"]: row["median"] for row in report["rows"] if report["kind"] == "speed" and "median" in row}
        known = {one: rates.get(engine_name(one), 0.0) for one in backends}
        if any(known.values()):
            return max(known, key=lambda one: known[one])
    return backends[0]

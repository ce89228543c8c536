"""Make the tables of a GPU check from benchmarks/gpu.json."""

from collections.abc import Iterator, Sequence
from typing import Any

from benchmarks.on_gpu.forms import LIMITS, ordered_forms

NOTES = (
    "In float32 each engine computes as its framework does by itself (TF32: see the machine). The share of the product is the "
    "speed of training's matrix products over that of the large product measured on the same card, through TF32 for float32. "
    "Idle is the part of a step in which nvidia-smi saw no kernel run: what the host adds. A 1x8 network has next to nothing "
    "to compute: its step is what remains."
)

Results = dict[str, Any]
Row = dict[str, Any]

PRODUCTS = {"float32": "float32", "tf32": "float32 through TF32", "bfloat16": "bfloat16"}
PRECISIONS = {"float32": "float32 without TF32", "default": "float32 as the framework computes it"}
NANOGPT_NATS = 1.4697  # published for tinyshakespeare, after about three minutes on an A100, in blocks of 256


def markdown(results: Results) -> str:
    """Return all tables, with an empty line between two."""
    blocks = [steps(results), machine(results), products(results), correctness(results), commands(results), speed(results)]
    blocks += [start(results), quality(results)]
    return "\n\n".join([*filter(None, blocks), _when(results)])


def passed(results: Results) -> bool:
    """Return whether no step failed, and no comparison differs."""
    if any(step["outcome"] in ("failed", "out of time") for step in results["steps"]):
        return False
    return not any("failed" in row or row.get("passed") is False for step in results["steps"] for row in step["rows"])


def steps(results: Results) -> str:
    """Return the table of the steps and their outcomes."""
    rows = [(one["step"], one["outcome"], f"{one['seconds']:.0f}", one["why"]) for one in results["steps"]]
    return _table(("step", "outcome", "-seconds", "why"), rows)


def machine(results: Results) -> str:
    """Return the table of the hardware."""
    rows = [(row["what"], row["value"]) for row in _rows(results, "machine") if "what" in row]
    return _table(
        ("machine", ""), [*rows, *((row["backend"], _sees(row)) for row in _rows(results, "machine") if "backend" in row)]
    )


def _sees(row: Row) -> str:
    if "failed" in row:
        return f"failed: {row['failed']}"
    libraries = [f"{name} {row[key]}" for name, key in (("CUDA", "cuda"), ("cuDNN", "cudnn")) if row[key]]
    return ", ".join([row["gpu"] or "no GPU", *libraries, f"TF32 by itself: {row['tf32']}"])


def products(results: Results) -> str:
    """Return the table of the matrix products."""
    rows = [
        (f"{PRODUCTS[row['kind']]}, {row['size']}³, {row['backend']}", _number(row["tflops"]), _number(row["published"]))
        for row in _rows(results, "products")
    ]
    return _table(("matrix product", "-TFLOP/s", "-published"), rows)


def correctness(results: Results) -> str:
    """Return the table of losses on the GPU against those on the CPU, and a line for each form that did not pass."""
    rows = {(row["backend"], row["form"]): row for row in _rows(results, "correctness")}  # a later row replaces an earlier one
    lines = []
    for backend, precision in dict.fromkeys((row["backend"], row["precision"]) for row in rows.values()):
        same = [row for row in rows.values() if (row["backend"], row["precision"]) == (backend, precision)]
        known = [row["difference"] for row in same if row["difference"] is not None]
        right = sum(row["passed"] for row in same)
        worst = f"{max(known):.2g}" if known else ""
        of = sum(form.precision == precision for form in ordered_forms())
        lines.append(
            (
                f"{backend}, {PRECISIONS.get(precision, precision)}",
                f"{right} of {len(same)}",
                f"{of}",
                worst,
                f"{LIMITS[precision]:g}",
            )
        )
    heading = ("20 steps, against the CPU", "-passed", "-forms in all", "-largest difference, nats", "-limit")
    shown = _table(heading, sorted(lines))
    wrong = [f"- {row['backend']}, {row['form']}: {row['why']}" for row in rows.values() if not row["passed"]]
    return "\n\n".join(filter(None, [shown, "\n".join(wrong)]))


def commands(results: Results) -> str:
    """Return the table of whole commands."""
    rows = [(row["what"], row["backend"], *_outcome(row)) for row in _rows(results, "commands")]
    return _table(("chargen", "backend", "outcome", "-validation loss differs by, nats", "same weights"), rows)


def _outcome(row: Row) -> tuple[str, str, str]:
    difference = row.get("difference")
    same = {True: "yes", False: "no"}.get(row.get("same_weights", ""), "")
    return "passed" if row["passed"] else f"failed: {row['why']}", "" if difference is None else f"{difference:.2g}", same


def speed(results: Results) -> str:
    """Return the table of the speed, with the ratio to torch's own layers of the same precision, turn by turn."""
    rates = {row["kind"]: row["tflops"] for row in _rows(results, "products")}
    lines = []
    for one in (step for step in results["steps"] if step["kind"] == "speed"):
        by_engine = {row["engine"]: row for row in one["rows"]}
        lines += [_speed(row, by_engine, rates) for row in one["rows"]]
    heading = ("training", "engine", "-characters a second", "-against torch", "-share of the product", "-GPU busy")
    return _table((*heading, "-step, ms", "-idle a step, ms", "-memory, GB"), lines)


def _speed(row: Row, by_engine: dict[str, Row], products: dict[str, float]) -> Sequence[str]:
    layers, units, length, batch = row["size"].split("x")
    what = f"{row['cell']} {layers}x{units}, {batch} windows of {length}"
    if "median" not in row:
        return (what, row["engine"], f"failed: {row['failed']}", "", "", "", "", "", "")
    kind = "bfloat16" if row["engine"].endswith("bfloat16") else "tf32"
    peak = products.get(kind)
    busy, step = row["busy"], 1000 * row["batch"] / row["median"]
    return (
        what,
        row["engine"],
        f"{row['median']:,.0f}",
        _ratio(row, by_engine.get("torch-bfloat16" if kind == "bfloat16" else "torch", {})),
        f"{row['operations'] * row['median'] / (peak * 1e12):.1%}" if peak else "",
        "" if busy is None else f"{busy:.0%}",
        _number(step),
        "" if busy is None else _number(step * (1 - busy)),
        "" if row["peak_bytes"] is None else f"{row['peak_bytes'] / 1e9:.2f}",
    )


def _ratio(row: Row, baseline: Row) -> str:
    ratios = sorted(one / other for one, other in zip(row["rates"], baseline.get("rates", []), strict=False))
    return f"{ratios[len(ratios) // 2]:.2f} x" if ratios and row is not baseline else ""


def start(results: Results) -> str:
    """Return the table of the time to the first step."""
    rows = [(f"{row['backend']}, {row['size']}", _number(row["seconds"])) for row in _rows(results, "start")]
    return _table(("from the command to the first step", "-s"), rows)


def quality(results: Results) -> str:
    """Return the table of the quality after some minutes."""
    rows = [
        (f"{row['text']}, {row['minutes']:g} minutes on {row['backend']}, {row['protocol']}", f"{row['nats']:.4f}")
        for row in _rows(results, "quality")
    ]
    if rows:
        rows.append(("nanoGPT, published: some 3 minutes on an A100, blocks of 256", f"{NANOGPT_NATS}"))
    return _table(("the last tenth of the text", "-nats a character"), rows)


def _when(results: Results) -> str:
    return f"{NOTES}\n\nMeasured {results['began']}, {results['device']}, within {results['minutes']:g} minutes."


def _rows(results: Results, kind: str) -> Iterator[Row]:
    for step in results["steps"]:
        if step["kind"] == kind:
            yield from step["rows"]


def _table(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table, or "" without rows; a heading that begins with "-" is that of a column of numbers."""
    if not rows:
        return ""
    names = [name.removeprefix("-") for name in heading]
    rule = ["---:" if name.startswith("-") else "---" for name in heading]
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in (names, rule, *rows))


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"

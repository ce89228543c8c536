"""Measure chargen on this machine: `python -m benchmarks [BENCHMARK] [--json]`; without a name, run all of them.

The figures are medians with the smallest and the largest of all repetitions. The newest results of each kind are kept in
benchmarks/results.json, with the machine that they were measured on; `table` prints them and `plot` draws them.
"""

import json
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import click

from benchmarks import (
    budget,
    classic_time,
    cost,
    distillation,
    distribute,
    dropout,
    estimates,
    grid,
    keras_layers,
    memory,
    ngram_memory,
    options,
    other_cells,
    page_speed,
    picture,
    plot,
    precision,
    quality,
    reading,
    sample,
    serve,
    short_texts,
    startup,
    table,
    train,
)
from benchmarks.engines import ENGINES, SIZES
from benchmarks.machine import describe_machine
from benchmarks.on_gpu.table import markdown as tables_of_gpu

RESULTS = Path(__file__).parent / "results.json"
IMAGES = RESULTS.parent.parent / "docs" / "images"
GPU_RESULTS = RESULTS.with_name("gpu.json")  # of benchmarks.gpu_check
CELLS = ("lstm", "gru", "simplernn")
DROPOUT_CASES = tuple(case.name for case in dropout.CASES)
Rows = list[dict[str, Any]]


class CommaSeparated(click.ParamType):
    """Some of the known names, separated by commas."""

    name = "names"

    def __init__(self, known: tuple[str, ...]) -> None:
        self.known = known

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        """Return the names. Fail for an unknown name."""
        names = tuple(value.split(",")) if isinstance(value, str) else tuple(value)
        unknown = [name for name in names if name not in self.known]
        if unknown:
            self.fail(f"{unknown[0]!r} is not one of {', '.join(self.known)}", param, ctx)
        return names


class NumberList(click.ParamType):
    """Integers, separated by commas."""

    name = "numbers"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        """Return the numbers. Fail for an invalid list."""
        try:
            return tuple(int(one) for one in (value.split(",") if isinstance(value, str) else value))
        except ValueError:
            self.fail(f"{value!r} is not a list of integers such as 500,2000", param, ctx)


as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group(invoke_without_command=True, help=__doc__)
@click.pass_context
def main(context: click.Context) -> None:
    """Run the given benchmark, by default all except those of `make quality`."""
    if context.invoked_subcommand is None:
        for command in context.command.commands.values():
            if command not in (*APART, write_options, show_table, draw_picture, plot_results):
                context.invoke(command)


@main.command("train")
@click.option("--sizes", type=CommaSeparated(tuple(SIZES)), default="A,B,C", show_default=True)
@click.option("--cells", type=CommaSeparated(CELLS), default=",".join(CELLS), show_default=True)
@click.option("--against", type=CommaSeparated(tuple(ENGINES)), default="torch,keras", show_default=True)
@as_json
def measure_train(
    sizes: tuple[str, ...] = tuple(SIZES),
    cells: tuple[str, ...] = CELLS,
    against: tuple[str, ...] = ("torch", "keras"),
    as_json: bool = False,
) -> None:
    """Characters a second in training, chargen and others in turn; a table for each kind of processor."""
    _report(train.kind_of_processor(), lambda: train.measure(sizes=sizes, cells=cells, against=against), as_json)


@main.command("sample")
@as_json
def measure_sample(as_json: bool = False) -> None:
    """Characters a second in sampling."""
    _report("sample", sample.measure, as_json)


@main.command("startup")
@as_json
def measure_startup(as_json: bool = False) -> None:
    """Seconds of whole commands."""
    _report("startup", startup.measure, as_json)


@main.command("estimates")
@click.option("--repetitions", default=1, show_default=True, help="Trainings of each kind.")
@as_json
def measure_estimates(repetitions: int = 1, as_json: bool = False) -> None:
    """Ratios of the training times that chargen estimates to the real times; for an idle machine."""
    _report("estimates", lambda: estimates.measure(repetitions=repetitions), as_json)


@main.command("budget")
@click.option("--repetitions", default=1, show_default=True, help="Trainings of each kind.")
@as_json
def measure_budget(repetitions: int = 1, as_json: bool = False) -> None:
    """Shares of --minutes that whole commands take, alone and beside other work of this benchmark; for an idle machine."""
    _report("budget", lambda: budget.measure(repetitions=repetitions), as_json)


@main.command("serve")
@as_json
def measure_serve(as_json: bool = False) -> None:
    """Seconds and memory of a server with a hundred clients at once."""
    _report("serve", serve.measure, as_json)


@main.command("page")
@as_json
def measure_page(as_json: bool = False) -> None:
    """Characters a second that an exported page writes in headless Chromium; for an idle machine."""
    _report("page", page_speed.measure, as_json)


@main.command("memory")
@click.option("--sizes", type=NumberList(), default=memory.SIZES, help="Bytes, separated by commas.  [default: 10 MB and 1 GB]")
@as_json
def measure_memory(sizes: tuple[int, ...] = memory.SIZES, as_json: bool = False) -> None:
    """Memory, time and speed of short trainings on texts of 10 MB and 1 GB, and on their tokens."""
    _report("memory", lambda: memory.measure(sizes=sizes), as_json)


@main.command("distribute")
@as_json
def measure_distribute(as_json: bool = False) -> None:
    """Milliseconds a step of --distribute, with 1 to 4 devices and processes of this machine, and seconds to lose a process."""
    _report("distribute", distribute.measure, as_json)


@main.command("reading")
@as_json
def measure_reading(as_json: bool = False) -> None:
    """Seconds and memory to read and to inspect 100 MB of text."""
    _report("reading", reading.measure, as_json)


@main.command("cost")
@as_json
def measure_cost(as_json: bool = False) -> None:
    """Milliseconds to train on a thousand characters, for growing networks."""
    _report("cost", cost.measure, as_json)


@main.command("classic")
@click.option("--epochs", default=100, show_default=True, help="Epochs of the classic program.")
@as_json
def measure_classic(epochs: int = 100, as_json: bool = False) -> None:
    """Seconds until chargen reaches the final validation loss of the classic program."""
    _report("classic", lambda: classic_time.measure(epochs=epochs), as_json)


@main.command("keras")
@click.option("--batches", default=100, show_default=True, help="Batches of an epoch.")
@click.option("--repetitions", default=3, show_default=True, help="Epochs that are measured.")
@as_json
def measure_keras(batches: int = 100, repetitions: int = 3, as_json: bool = False) -> None:
    """Characters a second of `fit` with chargen.keras's layers and with Keras's own, taking turns."""
    _report("keras", lambda: keras_layers.measure(num_batches=batches, repetitions=repetitions), as_json, keep=batches == 100)


seeds_option = click.option("--seeds", default=3, show_default=True, help="Random seeds.")
runs_dir_option = click.option(
    "--runs-dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="Keep the trainings in this folder, and reuse those that are already there.",
)
scale_option = click.option("--scale", default=1.0, show_default=True, help="Factor for the minutes, or for the text.")


@main.command("ngram-memory")
@click.option("--texts", type=CommaSeparated(ngram_memory.TEXTS), default=",".join(ngram_memory.TEXTS), show_default=True)
@runs_dir_option
@as_json
def measure_ngram_memory(
    texts: tuple[str, ...] = ngram_memory.TEXTS, runs_dir: Path | None = None, as_json: bool = False
) -> None:
    """Nats a character, copies and seconds with an n-gram memory and without."""
    _report("ngram-memory", lambda: ngram_memory.measure(texts=texts, runs_dir=runs_dir), as_json, keep=False)


@main.command("quality")
@click.option("--texts", type=CommaSeparated(quality.TEXTS), default=",".join(quality.TEXTS), show_default=True)
@seeds_option
@scale_option
@runs_dir_option
@as_json
def measure_quality(
    texts: tuple[str, ...] = quality.TEXTS,
    seeds: int = 3,
    scale: float = 1.0,
    runs_dir: Path | None = None,
    as_json: bool = False,
) -> None:
    """Nats a character on the test parts of public texts, within some minutes; results of other texts are kept."""
    measure = partial(quality.measure, texts=texts, seeds=seeds, scale=scale, runs_dir=runs_dir)
    _report_some("quality", "text", quality.TEXTS, texts, measure, as_json, keep=scale == 1)


@main.command("short-texts")
@click.option(
    "--sizes", type=NumberList(), default=short_texts.SIZES, help="Characters, separated by commas.  [default: 30 sizes]"
)
@seeds_option
@click.option("--grid/--no-grid", default=True, help="Also lists of names, and a grid of batches and contexts.")
@runs_dir_option
@as_json
def measure_short_texts(
    sizes: tuple[int, ...] = short_texts.SIZES,
    seeds: int = 3,
    grid: bool = True,
    runs_dir: Path | None = None,
    as_json: bool = False,
) -> None:
    """Bits a character of the automatic settings on short texts, compared with n-grams and a grid."""
    _report(
        "short-texts",
        lambda: short_texts.measure(sizes=sizes, seeds=seeds, grid=grid, runs_dir=runs_dir),
        as_json,
        keep=sizes == short_texts.SIZES and grid,
    )


@main.command("grid")
@scale_option
@runs_dir_option
@as_json
def measure_grid(scale: float = 1.0, runs_dir: Path | None = None, as_json: bool = False) -> None:
    """Nats a character of the settings that --minutes chooses, compared with fixed ones; for an idle machine."""
    _report("grid", lambda: grid.measure(scale=scale, runs_dir=runs_dir), as_json, keep=scale == 1)


@main.command("dropout")
@click.option("--cases", type=CommaSeparated(DROPOUT_CASES), default=",".join(DROPOUT_CASES), show_default=True)
@click.option("--seeds", default=2, show_default=True, help="Random seeds.")
@scale_option
@runs_dir_option
@as_json
def measure_dropout(
    cases: tuple[str, ...] = DROPOUT_CASES,
    seeds: int = 2,
    scale: float = 1.0,
    runs_dir: Path | None = None,
    as_json: bool = False,
) -> None:
    """Nats a character with several shares of dropout, in the same passes; results of other cases are kept."""
    chosen = [one for one in dropout.CASES if one.name in cases]
    measure = partial(dropout.measure, cases=chosen, seeds=seeds, scale=scale, runs_dir=runs_dir)
    _report_some("dropout", "case", DROPOUT_CASES, cases, measure, as_json, keep=scale == 1)


@main.command("ablation")
@seeds_option
@scale_option
@as_json
def measure_ablation(seeds: int = 3, scale: float = 1.0, as_json: bool = False) -> None:
    """Nats a character that each part of the default recipe gains."""
    _report("ablation", lambda: quality.measure_ablation(seeds=seeds, scale=scale), as_json, keep=scale == 1)


@main.command("precision")
@click.option("--precision", "compared", default="bfloat16_products", show_default=True, help="What float32 is compared with.")
@click.option("--seeds", type=click.IntRange(min=1), default=3, show_default=True, help="Trainings of each kind.")
@click.option("--epochs", type=click.IntRange(min=1), help="Epochs of each, for a try.")
@as_json
def measure_precision(
    compared: str = "bfloat16_products", seeds: int = 3, epochs: int | None = None, as_json: bool = False
) -> None:
    """Bits a character that a precision costs, and whether that is within what random seeds make."""
    work = partial(precision.measure, precision=compared, seeds=seeds, epochs=epochs)
    _report("precision", work, as_json, keep=not epochs)


@main.command("min-cells")
@scale_option
@as_json
def measure_min_cells(scale: float = 1.0, as_json: bool = False) -> None:
    """Nats a character of minGRU, minLSTM and an LSTM after the same time."""
    _report("min-cells", lambda: other_cells.measure(scale=scale), as_json, keep=scale == 1)


@main.command("mogrifier")
@scale_option
@as_json
def measure_mogrifier(scale: float = 1.0, as_json: bool = False) -> None:
    """Nats a character of a mogrifier LSTM, a multiplicative LSTM and an LSTM after the same steps."""
    _report("mogrifier", lambda: other_cells.measure_by_steps(scale=scale), as_json, keep=scale == 1)


@main.command("distillation")
@scale_option
@as_json
def measure_distillation(scale: float = 1.0, as_json: bool = False) -> None:
    """Nats a character of a network that learns from the average of several."""
    _report("distillation", lambda: distillation.measure(scale=scale), as_json, keep=scale == 1)


APART = (
    measure_distribute,
    measure_quality,
    measure_ngram_memory,
    measure_short_texts,
    measure_grid,
    measure_dropout,
    measure_ablation,
    measure_min_cells,
    measure_mogrifier,
    measure_distillation,
    measure_precision,
)  # they take hours, or need JAX


@main.command("options")
def write_options() -> None:
    """Write docs/options.md: what each option does to the text, by small networks (some minutes)."""
    options.PAGE.write_text(options.page(options.measure()), encoding="utf-8")


@main.command("table")
def show_table() -> None:
    """Print the newest results as in the manual."""
    click.echo(table.markdown(json.loads(RESULTS.read_text(encoding="utf-8"))))
    if GPU_RESULTS.is_file():
        click.echo(f"\n{tables_of_gpu(json.loads(GPU_RESULTS.read_text(encoding='utf-8')))}")


@main.command("plot")
def plot_results() -> None:
    """Draw the newest figures into docs/images/training.svg and cost.svg."""
    results = json.loads(RESULTS.read_text(encoding="utf-8"))
    plot.draw(results["train"], IMAGES / "training.svg")
    plot.draw_cost(results["cost"], IMAGES / "cost.svg")


@main.command("picture")
def draw_picture() -> None:
    """Draw a training in a terminal, from a real run, into docs/images/terminal.svg."""
    lines = picture.screen(picture.record(picture.COMMAND))
    picture.PICTURE.write_text(picture.draw(picture.COMMAND, lines), encoding="utf-8")


def _results() -> dict[str, Any]:
    return dict(json.loads(RESULTS.read_text(encoding="utf-8"))) if RESULTS.is_file() else {}


def _report_some(
    kind: str,
    column: str,
    names: Sequence[str],
    chosen: Sequence[str],
    measure: Callable[[], Rows],
    as_json: bool,
    *,
    keep: bool,
) -> None:
    """Report the rows of some names in a column, in the order of all names; `keep` stores them among those of the others."""
    known = _results().get(kind, {"rows": []})["rows"] if keep else []
    others = [row for row in known if row[column] in set(names) - set(chosen)]
    _report(kind, lambda: sorted(others + measure(), key=lambda row: names.index(row[column])), as_json, keep=keep)


def _report(kind: str, measure: Callable[[], Rows], as_json: bool, *, keep: bool = True) -> None:
    report = {"machine": describe_machine(), "rows": measure()}
    if keep:
        RESULTS.write_text(json.dumps(_results() | {kind: report}, indent=1) + "\n", encoding="utf-8")
    if as_json:
        click.echo(json.dumps(report, indent=1))
        return
    click.echo(f"{report['machine']}\n", file=sys.stdout)
    for row in report["rows"]:
        ratio = f"  chargen is {row['chargen_is_faster_by']:.2f}x" if row.get("chargen_is_faster_by", 1) != 1 else ""
        spread = f"({row['min']:,.3f} to {row['max']:,.3f})"
        if "share_of_products" in row:
            ratio += f"  {row['share_of_products']:.0%} of the machine's products"
        click.echo(f"{row['what']:48}  {row['median']:>11,.3f} {row['unit']:8}  {spread}{ratio}")


main()

import time
from pathlib import Path
from typing import Any

import click

from chargen.cli.json_text import json_text
from chargen.cli.options import common_options, json_option, runs_dir_option
from chargen.cli.tables import aligned, shown
from chargen.terminal import echo


@click.command("runs")
@runs_dir_option
@json_option
@common_options
def command(runs_dir: Path, as_json: bool, verbosity: int) -> None:
    """List the trained runs, the newest first, which `chargen sample` uses by default."""
    from chargen.runs.directory import model_runs, summarize

    summaries = [summarize(run) for run in model_runs(runs_dir)]
    if as_json:
        echo(json_text(summaries))
        return
    if not summaries and verbosity:
        echo(f"no runs in {runs_dir}; train one: chargen train male.txt --cell lstm", err=True)
    rows: list[tuple[str, ...]] = [("name", "corpus", "cell", "size", "epochs", "bits/char", "age")] if summaries else []
    rows += [_row(summary) for summary in summaries]
    if rows:
        echo(aligned(rows))


def _row(summary: dict[str, Any]) -> tuple[str, ...]:
    age = _age(time.time() - summary["modified"])
    if "error" in summary:
        return (summary["name"], "?", "?", "?", "?", "damaged", age)
    return (
        summary["name"],
        shown(summary["corpus"]),
        summary["cell"],
        f"{summary['num_layers']}x{summary['hidden_size']}"
        + (f", {count} together" if (count := summary["networks"]) > 1 else ""),
        shown(summary["epochs"] or 0),
        _quality(summary),
        age,
    )


def _quality(summary: dict[str, Any]) -> str:
    """Return the bits a character of a run that writes text, or the accuracy of a classifier, on --test where it was given."""
    bits, accuracy, tested = (summary[name] for name in ("bits_per_character", "accuracy", "test_accuracy"))
    if tested is not None:
        return f"{tested:.1%} right, --test"
    if summary["task"] == "classify" and isinstance(accuracy, float):
        return f"{accuracy:.1%} right"
    return f"{bits:.3f}" if isinstance(bits, float) else "-"


def _age(seconds: float) -> str:
    """Return a duration in its largest whole unit, such as "5 min"."""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds // size:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"

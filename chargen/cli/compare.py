from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from chargen.cli.completing import complete_runs
from chargen.cli.json_text import json_text
from chargen.cli.measuring import ProgressBars, block_length_option, use_one_thread
from chargen.cli.options import common_options, json_option, runs_dir_option
from chargen.cli.sampling import carry_option
from chargen.cli.tables import aligned, shown
from chargen.errors import ConfigError
from chargen.terminal import echo

if TYPE_CHECKING:
    from chargen.insight.accuracy import AccuracyRow
    from chargen.insight.assessment import Row
    from chargen.insight.comparison import RunFacts

UNKNOWN = "-"


@click.command("compare")
@click.argument("runs", nargs=-1, metavar="RUN RUN...", shell_complete=complete_runs)
@click.option("--evaluate", is_flag=True, help="Measure each on its held-out part, as chargen evaluate does.")
@carry_option
@block_length_option
@runs_dir_option
@json_option
@common_options
def command(
    runs: tuple[str, ...], evaluate: bool, carry: bool | None, block_length: int, runs_dir: Path, as_json: bool, verbosity: int
) -> None:
    """Compare RUNs side by side: network, training time, best validation loss, and the settings that differ.

    The training time is that of finished epochs, without validation and sample text. Figures are comparable if the runs use the
    same corpus and hold out the same part of it; a note on stderr says so if they do not.
    Classifiers are compared by their accuracy, and only with classifiers.

    \b
      chargen compare male-lstm-20260101-120000 male-gru-20260101-120100
      chargen compare male-lstm-20260101-120000 male-gru-20260101-120100 --evaluate --json
    """
    use_one_thread()
    from chargen.insight.comparison import differing_settings, read_facts, why_not_comparable
    from chargen.runs.directory import find_run

    if len(runs) < 2:
        counted = "1 run was" if runs else "no runs were"
        raise ConfigError(f"{counted} given, expected two or more", hint="chargen runs lists them")
    facts = read_facts([find_run(spec, runs_dir) for spec in runs])
    problem = why_not_comparable(facts)
    if problem and verbosity:
        echo(problem, err=True)
    if facts[0].classifies and carry is not None:
        raise ConfigError("--carry is for runs that write text, but these are classifiers", hint="leave it out")
    measured = [_measure(one, carry, block_length, verbosity) for one in facts if not one.classifies] if evaluate else []
    accuracies = [_accuracy(one) for one in facts if one.classifies] if evaluate else []
    if as_json:
        rows = [one.to_mapping() for one in facts]
        results = [[figure.to_mapping() for figure in figures] for figures in measured]
        results += [[one.to_mapping()] for one in accuracies]
        for row, found in zip(rows, results, strict=False):
            row["evaluation"] = found
        differing = differing_settings(facts)
        echo(json_text({"comparable": not problem, "runs": rows, "differing": differing}))
        return
    figures_table = [*_figures_table(measured), *_accuracy_table(accuracies)]
    echo(aligned([*_facts_table(facts), *_settings_table(differing_settings(facts)), *figures_table]))


def _measure(facts: "RunFacts", carry: bool | None, block_length: int, verbosity: int) -> "list[Row]":
    """Return the figures of a run on its held-out part."""
    from chargen.insight.assessment import assess, held_out_subject
    from chargen.network.model_file import load_model

    subject = held_out_subject([(facts.run, load_model(facts.run.model).with_carry(carry))])
    return list(assess(subject, ProgressBars(verbosity).stage, block_length=block_length, with_baselines=False))


def _accuracy(facts: "RunFacts") -> "AccuracyRow":
    """Return the accuracy of a classifier's run on its held-out texts."""
    from chargen.insight.accuracy import held_out_accuracies
    from chargen.writing.classifier import load_classifier

    return held_out_accuracies(facts.run, load_classifier(facts.run.model), with_baselines=False).rows[0]


def _facts_table(facts: "Sequence[RunFacts]") -> list[list[str]]:
    """Return a row for each property, a column for each run."""
    plain = [one.to_mapping() for one in facts]
    rows = [["", *[one.name for one in facts]]]
    rows += [[name, *[shown(one[name]) for one in plain]] for name in ("corpus", "cell", "size")]
    rows.append(["parameters", *[f"{one.num_parameters:,}" for one in facts]])
    rows.append(["epochs", *[str(one.epochs) for one in facts]])
    rows.append(["training time", *[_duration(one.seconds) for one in facts]])
    rows.append(["best epoch", *[_figure(one.best_epoch, "d") for one in facts]])
    return [*rows, *(_accuracy_rows(facts) if facts[0].classifies else _loss_rows(facts))]


def _loss_rows(facts: "Sequence[RunFacts]") -> list[list[str]]:
    return [
        ["validation nats/char", *[_figure(one.cross_entropy, ".4f") for one in facts]],
        ["validation bits/char", *[_figure(one.bits_per_character, ".4f") for one in facts]],
    ]


def _accuracy_rows(facts: "Sequence[RunFacts]") -> list[list[str]]:
    rows = [
        ["validation nats/text", *[_figure(one.cross_entropy, ".4f") for one in facts]],
        ["validation accuracy", *[_figure(one.accuracy, ".4f") for one in facts]],
    ]
    tested = [one.test_accuracy for one in facts]
    return [*rows, ["test accuracy", *[_figure(one, ".4f") for one in tested]]] if tested.count(None) < len(tested) else rows


def _settings_table(differing: dict[str, list[Any]]) -> list[list[str]]:
    return [[name, *[UNKNOWN if value is None else shown(value) for value in values]] for name, values in differing.items()]


def _accuracy_table(measured: "Sequence[AccuracyRow]") -> list[list[str]]:
    return [["held-out accuracy", *[f"{row.accuracy:.4f}" for row in measured]]] if measured else []


def _figures_table(measured: "Sequence[Sequence[Row]]") -> list[list[str]]:
    """Return two rows for each way of reading: nats and bits a character of every run."""
    figures = [{row.name: row.quality for row in rows} for rows in measured]
    table = []
    for name in dict.fromkeys(name for one in figures for name in one):
        found = [one.get(name) for one in figures]
        table.append([f"{name}, nats/char", *[_figure(one.cross_entropy if one else None, ".4f") for one in found]])
        table.append([f"{name}, bits/char", *[_figure(one.bits_per_character if one else None, ".4f") for one in found]])
    return table


def _figure(value: "float | None", form: str) -> str:
    return UNKNOWN if value is None else format(value, form)


def _duration(seconds: float | None) -> str:
    return UNKNOWN if seconds is None else str(timedelta(seconds=round(seconds)))

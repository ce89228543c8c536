from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click

from chargen.cli.accuracy import confusion_table
from chargen.cli.completing import complete_files
from chargen.cli.json_text import json_text
from chargen.cli.options import common_options, json_option, runs_dir_option
from chargen.cli.reading import run_option
from chargen.errors import ConfigError
from chargen.settings.schema import UNKNOWN_CHOICES
from chargen.terminal import echo

if TYPE_CHECKING:
    from chargen.insight.confusion import Confusion

STDIN = "-"


@click.command("classify")
@click.argument("texts", nargs=-1, metavar="[TEXT]...")
@run_option
@click.option(
    "--file",
    "files",
    multiple=True,
    metavar="FILE",
    shell_complete=complete_files,
    help="Read texts from a file, one a line, or from the rows of a table (.csv, .tsv, .jsonl, .json, .parquet).",
)
@click.option("--text-column", metavar="NAME", help="Column of a table that holds the texts; found unless given.")
@click.option("--label-column", metavar="NAME", help="Column of a table that holds the true labels; found by its usual names.")
@click.option(
    "--prior",
    "priors",
    multiple=True,
    metavar="LABEL=P",
    help="Probability of a label before its text is seen; labels without --prior share the rest equally.",
)
@click.option(
    "--on-unknown",
    type=click.Choice(UNKNOWN_CHOICES),
    default="error",
    show_default=True,
    help="What to do with a character that the model has never seen.",
)
@runs_dir_option
@json_option
@common_options
def command(
    texts: tuple[str, ...],
    run_spec: str | None,
    files: tuple[str, ...],
    text_column: str | None,
    label_column: str | None,
    priors: tuple[str, ...],
    on_unknown: str,
    runs_dir: Path,
    as_json: bool,
    verbosity: int,
) -> None:
    """Predict the label of each TEXT, - for one text a line from stdin: print the labels and their probabilities.

    The run was trained with --task classify, or learned to write with --label-by: then Bayes' rule turns the probabilities of
    the text under each label into those of the labels.

    A table with a column of true labels also gives the accuracy and the confusion matrix.

    \b
      chargen train male.txt female.txt --label-by file
      chargen classify "Harold" "Ida" --prior male=0.3
      chargen train reviews.csv --task classify --tokens word
      chargen classify --file new-reviews.txt --json
      chargen classify --file reviews.csv
    """
    from chargen.insight.confusion import count_confusion
    from chargen.runs.directory import find_model
    from chargen.writing.classifier import label_probabilities, load_labelled

    model = load_labelled(find_model(run_spec, runs_dir))
    given, notes = _read_texts(texts, files, text_column, label_column)
    ranked = label_probabilities(model, [text for text, _ in given], prior=_parse_priors(priors), on_unknown=on_unknown)
    predicted = [next(iter(one)) for one in ranked]
    confusion = count_confusion([label for _, label in given], predicted, sorted(ranked[0]))
    for note in [*notes, *_uncounted(given, confusion)] if verbosity else []:
        echo(note, err=True)
    if as_json:
        rows = [
            {"text": text, "label": label, **({"true": true} if confusion.texts else {}), "probabilities": one}
            for (text, true), label, one in zip(given, predicted, ranked, strict=True)
        ]
        echo(json_text(confusion.summary() | {"texts": rows} if confusion.texts else rows))
        return
    for (text, _), one in zip(given, ranked, strict=True):
        echo(_line(one, text) if len(given) > 1 else _column(one))
    if confusion.texts:
        echo("\n" + confusion_table(confusion))


_Texts = list[tuple[str, str | None]]  # each with its true label, if known


def _read_texts(
    texts: tuple[str, ...], files: tuple[str, ...], text_column: str | None, label_column: str | None
) -> tuple[_Texts, list[str]]:
    """Return the texts of the arguments, of stdin and files line by line, and of tables row by row, and notes about tables.

    Raises ConfigError if there is no text, and for columns without a table.
    """
    from chargen.corpus.formats.formatted import formatted
    from chargen.corpus.formats.tables import Labels, wanted_columns
    from chargen.corpus.reading import notes_about, read_texts
    from chargen.settings.schema import CorpusConfig

    given: _Texts = []
    for text in texts:
        given += _lines(str(read_texts([STDIN])[0].text)) if text == STDIN else [(text, None)]
    config = CorpusConfig(text_column=text_column, label_column=label_column)
    read = read_texts(files, columns=wanted_columns(config, Labels.IF_ANY)) if files else []
    sources = [formatted(source, config, labels=Labels.IF_ANY) for source in read]
    named = {"--text-column": text_column, "--label-column": label_column}
    for flag in (flag for flag, name in named.items() if name is not None and not any(source.rows for source in sources)):
        raise ConfigError(f"{flag} needs a table given with --file", hint="leave it out")
    for source in sources:
        if source.rows is None:
            given += _lines(str(source.text))
        else:
            given += [(str(row.text), row.label) for row in source.rows.spans.documents()]
    notes = notes_about(sources)
    if not given:
        raise ConfigError("no text to classify", hint='give one, as in chargen classify "Harold", or --file')
    for number, (text, _) in enumerate(given, start=1):
        if not text.strip():
            raise ConfigError(f"text {number} of {len(given)} is empty", hint="leave it out")
    return given, notes


def _lines(text: str) -> _Texts:
    return [(line, None) for line in text.removesuffix("\n").split("\n")]


def _uncounted(given: _Texts, confusion: "Confusion") -> list[str]:
    """Return a note about true labels that the model does not know."""
    unknown = Counter(label for _, label in given if label is not None and label not in confusion.labels)
    if not unknown:
        return []
    named = ", ".join(sorted(unknown)[:5]) + (", ..." if len(unknown) > 5 else "")
    return [
        f"the model does not know the labels of {unknown.total():,} texts ({named}), so they are not counted; "
        f"the model knows {', '.join(confusion.labels)} (choose the column with --label-column NAME)"
    ]


def _parse_priors(priors: tuple[str, ...]) -> dict[str, float]:
    """Return the probability of each label given as LABEL=P. Raises ConfigError for anything else."""
    parsed: dict[str, float] = {}
    for given in priors:
        label, _, number = given.rpartition("=")
        try:
            probability = float(number)
        except ValueError:
            probability = None
        if not label or probability is None or label in parsed:
            raise ConfigError(f"--prior is {given!r}, expected LABEL=P, each label once", hint="for example --prior male=0.3")
        parsed[label] = probability
    return parsed


def _column(ranked: dict[str, float]) -> str:
    """Return one label a line."""
    width = max(map(len, ranked))
    return "\n".join(f"{label:{width}}  {probability:.4f}" for label, probability in ranked.items())


def _line(ranked: dict[str, float], text: str) -> str:
    """Return the labels of one of several texts, and the text."""
    return "  ".join([*(f"{label} {probability:.4f}" for label, probability in ranked.items()), text])

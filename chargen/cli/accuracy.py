"""Print the accuracy of a classifier for `chargen evaluate` and `chargen classify`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chargen.cli.json_text import json_text
from chargen.cli.tables import aligned
from chargen.errors import ConfigError
from chargen.terminal import echo

if TYPE_CHECKING:
    from chargen.insight.accuracy import Accuracies
    from chargen.insight.confusion import Confusion


def evaluate_classifier(
    paths: Sequence[Path],
    files: Sequence[str],
    unsuitable: Mapping[str, Any],
    *,
    baselines: bool,
    on_unknown: str,
    as_json: bool,
    verbosity: int,
) -> None:
    """Measure a classifier on its held-out texts or on files, and print the result.

    unsuitable: options for runs that write text, refused if they are given, by flag. Raises ConfigError for several models.
    """
    from chargen.insight.accuracy import file_accuracies, held_out_accuracies
    from chargen.runs.directory import RunDirectory
    from chargen.writing.classifier import load_classifier

    if len(paths) > 1:
        raise ConfigError("a classifier is evaluated alone, but several runs are given", hint="chargen compare takes several")
    for flag, value in unsuitable.items():
        if value not in (None, False):
            raise ConfigError(f"{flag} is for runs that write text, but {paths[0]} is a classifier", hint="leave it out")
    run, model = RunDirectory(paths[0].parent), load_classifier(paths[0])
    if files:
        found = file_accuracies(run, model, files, with_baselines=baselines, on_unknown=on_unknown)
    else:
        found = held_out_accuracies(run, model, with_baselines=baselines)
    for note in found.notes if verbosity else ():
        echo(note, err=True)
    facts = {"models": [str(paths[0])], "files": list(files)}
    echo(json_text(facts | accuracies_mapping(found)) if as_json else _accuracy_table(found))


def accuracies_mapping(found: "Accuracies") -> dict[str, Any]:
    """Return plain values."""
    return {"results": [row.to_mapping() for row in found.rows], "confusion": found.confusion.summary()}


def _accuracy_table(found: "Accuracies") -> str:
    rows = [["", "accuracy"], *([row.name, f"{row.accuracy:.4f}"] for row in found.rows)]
    return f"{aligned(rows)}\n\n{confusion_table(found.confusion)}"


def confusion_table(confusion: "Confusion") -> str:
    """Return the accuracy and the confusion matrix."""
    rows = [["true / predicted", *confusion.labels]]
    rows += [[label, *map(str, counts)] for label, counts in zip(confusion.labels, confusion.counts.tolist(), strict=True)]
    right = int(confusion.counts.trace())
    return f"accuracy {confusion.accuracy:.4f} ({right:,} of {confusion.texts:,} texts)\n{aligned(rows)}"

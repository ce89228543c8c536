"""Measure the accuracy of a classifier's run, next to baselines fitted on the same training texts."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from chargen.corpus.documents import Document
from chargen.corpus.examples import load_test_examples
from chargen.errors import ChargenError, ConfigError
from chargen.insight.confusion import Confusion, measure_confusion
from chargen.insight.labels import baseline_accuracies
from chargen.runs.config import read_settings
from chargen.runs.directory import RunDirectory, recorded_test
from chargen.runs.trained_text import read_trained_examples
from chargen.settings.schema import CorpusConfig
from chargen.writing.classifier import TextClassifier

FILE_HINT = "chargen evaluate RUN TABLE measures other texts"


@dataclass(frozen=True)
class AccuracyRow:
    """One accuracy. kind: "model" or "baseline". part: the measured texts, "held out", "test" or "file"."""

    name: str
    kind: str
    part: str
    accuracy: float

    def to_mapping(self) -> dict[str, Any]:
        """Return plain values."""
        return {"name": self.name, "kind": self.kind, "part": self.part, "accuracy": self.accuracy}


@dataclass(frozen=True, kw_only=True)
class Accuracies:
    """The accuracies on some labelled texts, the model's predictions there, and notes for the user."""

    rows: Sequence[AccuracyRow]
    confusion: Confusion
    notes: Sequence[str] = ()


def held_out_accuracies(run: RunDirectory, model: TextClassifier, *, with_baselines: bool = True) -> Accuracies:
    """Measure a classifier on the texts that its training held out, and add what it recorded of the texts of --test.

    Raises ConfigError if no texts were held out, and the errors of `read_trained_examples`.
    """
    try:
        training, held_out = read_trained_examples(run, model.provenance.get("sha256"))
    except ChargenError as error:
        error.hint = f"{error.hint}; {FILE_HINT}" if error.hint else FILE_HINT
        raise
    if not held_out:
        raise ConfigError("the run has no validation split: corpus.validation_split is 0", hint=FILE_HINT)
    confusion = measure_confusion(model, held_out)
    rows = [AccuracyRow("network", "model", "held out", confusion.accuracy)]
    rows += _baseline_rows(training, held_out, "held out") if with_baselines else []
    tested = recorded_test(model.provenance)
    rows += [] if tested is None else [AccuracyRow("network, --test", "model", "test", tested)]
    return Accuracies(rows=rows, confusion=confusion)


def file_accuracies(
    run: RunDirectory, model: TextClassifier, files: Sequence[str], *, with_baselines: bool, on_unknown: str
) -> Accuracies:
    """Measure a classifier on labelled texts, read in the way of its training texts.

    The baselines are left out, with a note, if the training texts are not available. Raises the errors of
    `load_test_examples`.
    """
    config, training, notes = CorpusConfig(), None, []
    try:
        config = read_settings(run).corpus
        training = read_trained_examples(run, model.provenance.get("sha256"))[0]
    except ChargenError as error:
        notes.append(f"no baselines: {error.message}")
    measured = load_test_examples(replace(config, test_files=tuple(files)), model.labels)
    confusion = measure_confusion(model, measured.documents, on_unknown=on_unknown)
    rows = [AccuracyRow("network", "model", "file", confusion.accuracy)]
    rows += _baseline_rows(training, measured.documents, "file") if training and with_baselines else []
    return Accuracies(rows=rows, confusion=confusion, notes=(*measured.notes, *(notes if with_baselines else [])))


def _baseline_rows(training: Sequence[Document], measured: Sequence[Document], part: str) -> list[AccuracyRow]:
    found = baseline_accuracies(training, measured)
    return [AccuracyRow(name, "baseline", part, accuracy) for name, accuracy in found.items()]

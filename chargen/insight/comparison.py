"""Compare runs: settings, cost and quality."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from chargen.errors import RunError
from chargen.network.model_file import num_class_outputs, read_metadata
from chargen.network.network import weight_shapes
from chargen.runs.checkpoints import newest_facts
from chargen.runs.config import held_out_by, read_settings
from chargen.runs.directory import RunDirectory, recorded_test
from chargen.runs.metrics import History, read_histories
from chargen.settings.schema import Settings

TOLD_APART = {"network.cell", "network.num_layers", "network.hidden_size"}  # settings that have lines of their own


@dataclass(frozen=True, kw_only=True)
class RunFacts:
    """Facts about a run from its files.

    task: "generate" or "classify". seconds: of training without validation and sample text; None without a checkpoint.
    best_epoch, cross_entropy (nats a character, or a text for a classifier), bits_per_character, accuracy: of the best
    validation; None without a validation split, and where the task has no such figure. test_accuracy: on the texts of --test.
    """

    run: RunDirectory
    name: str
    corpus: str
    sha256: str
    task: str
    settings: Settings
    num_parameters: int
    epochs: int
    seconds: float | None
    best_epoch: int | None
    cross_entropy: float | None
    bits_per_character: float | None
    accuracy: float | None
    test_accuracy: float | None

    @property
    def classifies(self) -> bool:
        """Whether the run is a classifier rather than a text model."""
        return self.task == "classify"

    @property
    def held_out(self) -> tuple[Any, ...]:
        """A key that is equal for runs with the same validation split."""
        return held_out_by(self.settings, self.sha256)

    def to_mapping(self) -> dict[str, Any]:
        """Return plain values, including all settings."""
        network = self.settings.network
        return {
            "name": self.name,
            "task": self.task,
            "path": str(self.run.path),
            "corpus": self.corpus,
            "sha256": self.sha256,
            "cell": network.cell,
            "size": f"{network.num_layers}x{network.hidden_size}",
            "parameters": self.num_parameters,
            "epochs": self.epochs,
            "training_seconds": self.seconds,
            "best_epoch": self.best_epoch,
            "validation_cross_entropy": self.cross_entropy,
            **self._quality(),
            "settings": self.settings.to_mapping(),
        }

    def _quality(self) -> dict[str, float | None]:
        """Return the figures that only runs of this task have."""
        if self.classifies:
            return {"validation_accuracy": self.accuracy, "test_accuracy": self.test_accuracy}
        return {"validation_bits_per_character": self.bits_per_character}


def read_facts(runs: Sequence[RunDirectory]) -> list[RunFacts]:
    """Read the facts of runs; runs with equal names are shown by their paths.

    Raises RunError for classifiers among runs that write text and for a run without settings or metrics, and ModelFileError for
    a damaged model.
    """
    facts = [_read(run, history) for run, history in zip(runs, read_histories(runs), strict=True)]
    classifier, writer = (next((one for one in facts if one.classifies == wanted), None) for wanted in (True, False))
    if classifier and writer:
        raise RunError(
            f"{classifier.run.path} is a classifier, but {writer.run.path} writes text: they have no figure in common",
            hint="compare runs of one task",
        )
    return facts


def _read(run: RunDirectory, history: History) -> RunFacts:
    metadata = read_metadata(run.model)
    provenance = metadata["provenance"]
    return RunFacts(
        run=run,
        name=history.name,
        corpus=str(provenance.get("corpus")),
        sha256=str(provenance.get("sha256")),
        task=metadata["task"],
        settings=read_settings(run),
        num_parameters=num_parameters(metadata),
        epochs=history.epochs[-1].epoch,
        seconds=training_seconds(run),
        test_accuracy=recorded_test(provenance),
        **best_figures(history, provenance),
    )


def num_parameters(metadata: Mapping[str, Any]) -> int:
    """Return the number of weights of a model file, given its metadata."""
    outputs = num_class_outputs(len(metadata["labels"])) if metadata["task"] == "classify" else None
    networks, vocab_size = metadata["networks"], len(metadata["vocabulary"])
    shapes = [weight_shapes(one, vocab_size, num_outputs=outputs) for one in networks]
    return sum(prod(shape) for one in shapes for shape in one.values())


def best_figures(history: History, provenance: Mapping[str, Any]) -> dict[str, Any]:
    """Return the figures of the best epoch on the validation split, measured on the whole split if the model has them."""
    names = ("best_epoch", "cross_entropy", "bits_per_character", "accuracy")
    figures = [
        (epoch.epoch, epoch.validation_cross_entropy, row.get("bits_per_character"), row.get("validation_accuracy"))
        for epoch, row in zip(history.epochs, history.rows, strict=True)
        if epoch.validation_cross_entropy is not None
    ]
    best = dict(zip(names, min(figures, key=lambda one: one[1] or 0.0, default=(None,) * len(names)), strict=True))
    whole = provenance.get("bits_per_character")
    if provenance.get("validation_share") == 1 and isinstance(whole, float):
        best |= {"cross_entropy": whole * math.log(2), "bits_per_character": whole}
    return best


def training_seconds(run: RunDirectory) -> float | None:
    """Return the training time in seconds, of all networks of a run, from the newest checkpoints, or None without one."""
    folders = [*run.members.glob("*/checkpoints")] or [run.checkpoints]
    try:
        return float(sum(epoch["seconds"] for one in folders for epoch in (newest_facts(one) or {})["results"]))
    except (KeyError, TypeError, ValueError):
        return None


def differing_settings(facts: Sequence[RunFacts]) -> dict[str, list[Any]]:
    """Return the settings that differ between runs: "section.name" to the value of each run, None if not set."""
    flat = [_flat(one.settings.to_mapping()) for one in facts]
    names = dict.fromkeys(name for one in flat for name in one if name not in TOLD_APART)
    values = {name: [one.get(name) for one in flat] for name in names}
    return {name: row for name, row in values.items() if any(one != row[0] for one in row)}


def _flat(sections: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    return {f"{section}.{name}": value for section, values in sections.items() for name, value in values.items()}


def why_not_comparable(facts: Sequence[RunFacts]) -> str:
    """Return why the figures of runs are not comparable, or "" if they are."""
    if len({one.sha256 for one in facts}) > 1:
        return f"these runs were trained on different corpora ({_listed(facts)}): their figures are not comparable"
    if len({one.held_out for one in facts}) > 1:
        return "these runs have different validation splits: their figures are hardly comparable"
    return ""


def _listed(facts: Sequence[RunFacts]) -> str:
    return ", ".join(dict.fromkeys(f"{one.corpus} {one.sha256:.8}" for one in facts))

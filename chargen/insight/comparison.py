"""Compare runs: what each is, what it cost, how good it got, and in which settings they differ."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from chargen.errors import RunError
from chargen.network.model_file import read_metadata
from chargen.network.network import weight_shapes
from chargen.runs.checkpoints import newest_facts
from chargen.runs.directory import RunDirectory
from chargen.runs.metrics import History, read_histories
from chargen.runs.trained_text import read_settings
from chargen.settings.schema import Settings

TOLD_APART = {"network.cell", "network.num_layers", "network.hidden_size"}  # settings that have lines of their own
# What besides the text decides which part is held out.
HELD_OUT_BY = ("reading", "separator", "file_readings", "strip_licence", "validation_split", "validation", "label_by")


@dataclass(frozen=True, kw_only=True)
class RunFacts:
    """What is known of a run without running it.

    seconds: of training, validation and sample text not counted; None where no checkpoint tells. best_epoch,
    cross_entropy (nats a character), bits_per_character: of the best validation, None where nothing was held out.
    """

    run: RunDirectory
    name: str
    corpus: str
    sha256: str
    settings: Settings
    num_parameters: int
    epochs: int
    seconds: float | None
    best_epoch: int | None
    cross_entropy: float | None
    bits_per_character: float | None

    @property
    def held_out(self) -> tuple[Any, ...]:
        """What is equal for runs that hold out the same text."""
        corpus = self.settings.corpus
        seed = self.settings.training.random_seed
        return (self.sha256, seed, *(getattr(corpus, name) for name in HELD_OUT_BY))

    def to_mapping(self) -> dict[str, Any]:
        """Return plain values, all settings among them."""
        network = self.settings.network
        return {
            "name": self.name,
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
            "validation_bits_per_character": self.bits_per_character,
            "settings": self.settings.to_mapping(),
        }


def read_facts(runs: Sequence[RunDirectory]) -> list[RunFacts]:
    """Read what is known of some runs; those of one name are told apart by their paths.

    Raises RunError for a run that is a classifier, or lacks its settings or metrics, and ModelFileError for a damaged model.
    """
    return [_read(run, history) for run, history in zip(runs, read_histories(runs), strict=True)]


def _read(run: RunDirectory, history: History) -> RunFacts:
    metadata = read_metadata(run.model)
    if metadata["task"] != "generate":
        raise RunError(f"{run.path} holds a classifier, compare is for runs that write text")
    provenance, shapes = metadata["provenance"], weight_shapes(metadata["network"], len(metadata["vocabulary"]))
    return RunFacts(
        run=run,
        name=history.name,
        corpus=str(provenance.get("corpus")),
        sha256=str(provenance.get("sha256")),
        settings=read_settings(run),
        num_parameters=sum(map(prod, shapes.values())),
        epochs=history.epochs[-1].epoch,
        seconds=training_seconds(run),
        **best_figures(history, provenance),
    )


def best_figures(history: History, provenance: Mapping[str, Any]) -> dict[str, Any]:
    """Return the figures of the epoch that did best on the text held out, on all of it where its model knows them."""
    names = ("best_epoch", "cross_entropy", "bits_per_character")
    figures = [
        (epoch.epoch, epoch.validation_cross_entropy, row.get("bits_per_character"))
        for epoch, row in zip(history.epochs, history.rows, strict=True)
        if epoch.validation_cross_entropy is not None
    ]
    best = dict(zip(names, min(figures, key=lambda one: one[1] or 0.0, default=(None, None, None)), strict=True))
    whole = provenance.get("bits_per_character")
    if provenance.get("validation_share") == 1 and isinstance(whole, float):
        best |= {"cross_entropy": whole * math.log(2), "bits_per_character": whole}
    return best


def training_seconds(run: RunDirectory) -> float | None:
    """Return the seconds that the finished epochs took, as the newest checkpoint remembers them."""
    try:
        return float(sum(epoch["seconds"] for epoch in (newest_facts(run.checkpoints) or {})["results"]))
    except (KeyError, TypeError, ValueError):
        return None


def differing_settings(facts: Sequence[RunFacts]) -> dict[str, list[Any]]:
    """Return each setting in which runs differ, by "section.name", with the value of each; None where it was not chosen."""
    flat = [_flat(one.settings.to_mapping()) for one in facts]
    names = dict.fromkeys(name for one in flat for name in one if name not in TOLD_APART)
    values = {name: [one.get(name) for one in flat] for name in names}
    return {name: row for name, row in values.items() if any(one != row[0] for one in row)}


def _flat(sections: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    return {f"{section}.{name}": value for section, values in sections.items() for name, value in values.items()}


def why_not_comparable(facts: Sequence[RunFacts]) -> str:
    """Return one line that says why the figures of some runs do not compare, or nothing where they do."""
    if len({one.sha256 for one in facts}) > 1:
        return f"these runs are of different corpora ({_listed(facts)}): their figures do not compare"
    if len({one.held_out for one in facts}) > 1:
        return "these runs hold out different parts of their corpus: their figures hardly compare"
    return ""


def _listed(facts: Sequence[RunFacts]) -> str:
    return ", ".join(dict.fromkeys(f"{one.corpus} {one.sha256:.8}" for one in facts))

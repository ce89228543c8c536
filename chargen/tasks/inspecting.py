"""Inspect a text as `chargen train` would read it, with the settings that training would choose."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chargen.corpus.corpus import Corpus, cut_corpus, read_corpus
from chargen.corpus.holdout import split_documents
from chargen.corpus.large_text import text_blocks
from chargen.insight.inspection import Inspection, inspect
from chargen.settings.layers import Resolved, resolve
from chargen.training.planning.recipes import DEFAULT_PRESET, PRESET_CORES, PRESETS, Chosen, choose_recipe

SEPARATOR = "<|endoftext|>"


@dataclass(frozen=True)
class InspectedText:
    """What a text holds, and why training would choose which settings for it."""

    inspection: Inspection
    reasons: tuple[str, ...]
    warnings: tuple[str, ...] = ()

    def clean_text(self) -> Iterator[str]:
        """Yield the documents as one text, piece by piece: lines of a list, or documents with a separator between them."""
        corpus = self.inspection.corpus
        separator = "\n" if corpus.reading == "line" else f"\n{SEPARATOR}\n"
        for number, text in enumerate(corpus.texts):
            if number:
                yield separator
            yield from text_blocks(text)
        if len(corpus.documents) > 1:
            yield "\n"

    def to_mapping(self) -> dict[str, Any]:
        """Return plain values."""
        return self.inspection.to_mapping() | {"training": list(self.reasons)}


def inspect_text(layers: Sequence[tuple[str, Mapping[str, Any]]]) -> InspectedText:
    """Read the texts that layers of settings name, and inspect them. Raises ChargenError for what cannot be read."""
    resolved = resolve(*layers)
    settings = resolved.settings
    sources = read_corpus(settings.corpus)
    corpus = cut_corpus(settings.corpus, sources)
    _, held_out = split_documents(corpus, settings.corpus, seed=settings.training.random_seed)
    inspection = inspect(corpus, [source for _, source in sources], held_out)
    return InspectedText(inspection, _reasons(resolved, corpus))


def _reasons(resolved: Resolved, corpus: Corpus) -> tuple[str, ...]:
    """Return why training would choose which settings, by the default preset."""
    chosen = Chosen(resolved.settings, [name for name, origin in resolved.origin.items() if origin != "default"])
    return choose_recipe(corpus, chosen, minutes=PRESETS[DEFAULT_PRESET], cores=PRESET_CORES).reasons

"""Inspect a text as training reads it: its files, documents and characters, with warnings."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from chargen.corpus.corpus import Corpus, CorpusFile, cut_corpus, read_corpus
from chargen.corpus.cutting import DOCUMENT, LINE
from chargen.corpus.documents import Documents
from chargen.corpus.holdout import split_documents
from chargen.corpus.large_text import text_blocks
from chargen.corpus.reading import SourceText
from chargen.insight.text_facts import (
    Bar,
    CharacterCounts,
    Lengths,
    RareCharacter,
    count_copies,
    shown_character,
)
from chargen.settings.schema import Settings

SHARE_OF_COPIES = 0.01  # share of the documents; more copies cause a warning
FEW_CHARACTERS = 2_000
MANY_CHARACTERS = 300  # distinct characters of a script with an alphabet
SEPARATOR = "<|endoftext|>"  # between documents written as one text


@dataclass(frozen=True)
class FileFacts:
    """A file of the corpus, and the number of characters of its documents."""

    file: CorpusFile
    characters: int

    def to_mapping(self) -> dict[str, Any]:
        """Return plain values; the reading is "line" or "document"."""
        separated = self.file.reading not in (LINE, DOCUMENT)
        reading = {"reading": DOCUMENT, "separator": self.file.reading} if separated else {}
        return self.file._asdict() | reading | {"characters": self.characters}


@dataclass(frozen=True, kw_only=True)
class Inspection:
    """The facts about a corpus.

    sources: the texts that it was cut from. held_out: the validation split of a training. copies: the number of documents equal
    to an earlier one.
    """

    corpus: Corpus
    sources: tuple[SourceText, ...]
    files: tuple[FileFacts, ...]
    counts: CharacterCounts
    rare: tuple[RareCharacter, ...]
    lengths: Lengths
    copies: int
    held_out: Documents

    @property
    def histogram(self) -> list[Bar]:
        """The documents by length."""
        return self.lengths.histogram()

    def warnings(self) -> Iterator[str]:
        """Yield warnings about the text, each with a remedy."""
        documents, characters = len(self.corpus.documents), self.corpus.num_characters
        if characters < FEW_CHARACTERS:
            yield f"{characters:,} characters are few: a network can only memorize them; give more text"
        if self.copies >= max(1, SHARE_OF_COPIES * documents):
            yield (
                f"{self.copies:,} of {documents:,} documents are copies of earlier ones: some may be in both the training and "
                f"the validation split; remove them from the text"
            )
        scripts = self.counts.scripts()
        if len(self.counts.counts) > MANY_CHARACTERS and not scripts.keys() & {"Han", "Hangul"}:
            yield (
                f"{len(self.counts.counts):,} distinct characters are many, {self.counts.num_rare:,} of them occur 3 times or "
                f"less; --tokens bpe or byte needs a smaller vocabulary"
            )
        if self.counts.counts.get("\ufffd"):
            count = self.counts.counts["\ufffd"]
            yield f"{count:,} characters are U+FFFD, which replaces unreadable bytes; give --encoding NAME"

    def to_mapping(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "files": [one.to_mapping() for one in self.files],
            "reading": self.corpus.reading,
            "documents": len(self.corpus.documents),
            "characters": self.corpus.num_characters,
            "distinct_characters": len(self.counts.counts),
            "labels": list(self.corpus.labels),
            "lengths": self.lengths.quantiles(),
            "histogram": [bar._asdict() for bar in self.histogram],
            "scripts": self.counts.scripts(),
            "most_common": [shown_character(one) | {"count": count} for one, count in self.counts.most_common()[:20]],
            "rare": [shown_character(one.character) | {"count": one.occurrences} | self.place_of(one) for one in self.rare],
            "copies": self.copies,
            "held_out": {
                "documents": len(self.held_out),
                "characters": self.held_out.num_characters,
            },
            "notes": list(self.corpus.notes),
            "warnings": list(self.warnings()),
            "sha256": self.corpus.sha256,
        }

    def place_of(self, rare: RareCharacter) -> dict[str, Any]:
        """Return the position of a character: the file, the text around it and, unless the file is a table, line and column."""
        if rare.first is None:
            return {}
        source = self.sources[rare.first.text]
        position = {"file": source.name, "around": rare.first.around}
        return position if source.rows else position | {"line": rare.first.line, "column": rare.first.column}

    def clean_text(self) -> Iterator[str]:
        """Yield the documents as one text, piece by piece: the lines of a list, or documents with a separator between them."""
        separator = "\n" if self.corpus.reading == LINE else f"\n{SEPARATOR}\n"
        for number, text in enumerate(self.corpus.texts):
            if number:
                yield separator
            yield from text_blocks(text)
        if len(self.corpus.documents) > 1:
            yield "\n"


def inspect_text(settings: Settings) -> Inspection:
    """Read and inspect the configured texts. Raises ChargenError for a text that cannot be read."""
    parts = read_corpus(settings.corpus)
    corpus = cut_corpus(settings.corpus, parts)
    _, held_out = split_documents(corpus, settings.corpus, seed=settings.training.random_seed)
    return inspect(corpus, [source for _, source in parts], held_out)


def inspect(corpus: Corpus, sources: Sequence[SourceText], held_out: Documents) -> Inspection:
    """Inspect a corpus of at least one document; sources: the texts it was cut from; held_out: its validation split."""
    counts = CharacterCounts.of(corpus.texts)
    lengths = corpus.documents.lengths
    ends = np.cumsum([file.documents for file in corpus.files])
    characters = [int(part.sum()) for part in np.split(lengths, ends[:-1])]
    return Inspection(
        corpus=corpus,
        sources=tuple(sources),
        files=tuple(map(FileFacts, corpus.files, characters)),
        counts=counts,
        rare=tuple(counts.rare([source.text for source in sources])),
        lengths=Lengths(lengths),
        copies=count_copies(corpus.texts),
        held_out=held_out,
    )

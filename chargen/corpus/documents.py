"""From texts to a corpus: which stretch of text is one document, and which documents are held out."""

import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from chargen.config import CorpusConfig
from chargen.corpus.large_text import Text, text_blocks
from chargen.corpus.reading import SourceText, read_sources
from chargen.errors import CorpusError

# What a list of names looks like: many short lines of few words, hardly any of them empty.
NAME_LIST_MIN_LINES = 20
NAME_LIST_MAX_CHARACTERS = 40
NAME_LIST_MAX_WORDS = 3
NAME_LIST_MIN_SHARE = 0.98

MIN_DOCUMENTS_TO_SPLIT = 10  # with fewer, each gives its tail to the validation part


@dataclass(frozen=True)
class Corpus:
    """The documents of a training text.

    `reading` is "line" where every line of the text is a document, else "document". `notes` are for the user.
    """

    name: str
    documents: tuple[Text, ...]
    reading: str
    sha256: str
    notes: tuple[str, ...] = ()

    @property
    def num_characters(self) -> int:
        """Characters of all documents, line ends between documents not counted."""
        return sum(map(len, self.documents))

    @property
    def num_characters_in_memory(self) -> int:
        """Characters of the documents that are not kept in files."""
        return sum(len(text) for text in self.documents if isinstance(text, str))

    @property
    def longest(self) -> int:
        """Characters of the longest document."""
        return max(map(len, self.documents))


def load_corpus(config: CorpusConfig, *, stateful: bool = False) -> Corpus:
    """Read the configured files and cut them into documents.

    Stateful training reads on from line to line, so it never chooses lines by itself. Raises CorpusError if the text
    cannot be read or is too short to predict anything.
    """
    sources = read_sources(config.files, glob=config.glob, encoding=config.encoding)
    texts = [source.text for source in sources]
    notes = [source.note for source in sources if source.note]
    reading = config.reading
    if reading == "auto":
        reading = "line" if not stateful and all(map(looks_like_name_list, texts)) else "document"
        if reading == "line":
            notes.append("a list of names: each line is a document of its own (--document reads on across lines)")
    documents = _lines(texts) if reading == "line" else [text for text in texts if not _is_blank(text)]
    if sum(map(len, documents)) < 2:
        what = "no text beside blank lines" if not documents else "one character"
        raise CorpusError(f"{sources[0].name} holds {what}, expected two characters or more", hint="give a longer text")
    return Corpus(_corpus_name(config.files), tuple(documents), reading, _digest(sources), tuple(notes))


def looks_like_name_list(text: Text) -> bool:
    r"""Tell whether a text reads as one short name or phrase a line; of a large one, whether its beginning does.

    >>> looks_like_name_list("Ada\nGrace\n" * 20)
    True
    >>> looks_like_name_list("It was a dark and stormy night.\n" * 20)
    False
    """
    lines = next(text_blocks(text), "").strip().split("\n")
    short = sum(map(_is_short_entry, lines))
    return len(lines) >= NAME_LIST_MIN_LINES and short >= NAME_LIST_MIN_SHARE * len(lines)


def _is_short_entry(line: str) -> bool:
    """Tell whether a line is a few words, neither indented nor ended like a sentence, a statement or a list item."""
    return (
        0 < len(line) <= NAME_LIST_MAX_CHARACTERS
        and not line[0].isspace()
        and line[-1] not in ",;:{}()[]!?"
        and len(line.split()) <= NAME_LIST_MAX_WORDS
    )


def split_documents(corpus: Corpus, fraction: float, *, seed: int) -> tuple[list[Text], list[Text]]:
    """Hold out a share of the corpus and return (training, validation) documents.

    Of many documents a random choice drawn from `seed` is held out, whole; of a few, the tail of each. At least one
    document or character is left on both sides unless `fraction` is 0.
    """
    documents = list(corpus.documents)
    if fraction == 0:
        return documents, []
    if len(documents) >= MIN_DOCUMENTS_TO_SPLIT:
        held_out = set(random.Random(seed).sample(range(len(documents)), max(1, round(fraction * len(documents)))))
        return (
            [text for index, text in enumerate(documents) if index not in held_out],
            [text for index, text in enumerate(documents) if index in held_out],
        )
    cuts = [len(text) - max(1, round(fraction * len(text))) for text in documents]
    pairs = [(text[:cut], text[cut:]) for text, cut in zip(documents, cuts, strict=True)]
    return [head for head, _ in pairs if head], [tail for _, tail in pairs]


def _lines(texts: Sequence[Text]) -> list[Text]:
    return [line for text in texts for line in str(text).split("\n") if line.strip()]


def _is_blank(text: Text) -> bool:
    return not any(block.strip() for block in text_blocks(text))


def _corpus_name(files: Sequence[str]) -> str:
    """Return a short name for the run directory: the first file's, and how many more there are."""
    first = "stdin" if files[0] == "-" else Path(files[0]).resolve().stem
    return first if len(files) == 1 else f"{first}+{len(files) - 1}"


def _digest(sources: Sequence[SourceText]) -> str:
    """Return the sha256 of all texts, each ended by a byte that UTF-8 never holds."""
    digest = hashlib.sha256()
    for source in sources:
        for block in text_blocks(source.text):
            digest.update(block.encode("utf-8", "surrogatepass"))
        digest.update(b"\xff")
    return digest.hexdigest()

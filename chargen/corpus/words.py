"""Map text to token ids by words, and by subwords from byte-pair encoding."""

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from heapq import heapify, heappop, heappush
from itertools import pairwise
from typing import Any

import numpy as np

from chargen.corpus.large_text import Text, characters_of, text_blocks
from chargen.corpus.vocabulary import BOUNDARY, HOW_TO_GO_ON, Ids, TokenIds, Vocabulary, known_text, name_characters
from chargen.errors import ConfigError, UnknownTokenError

# A word or a punctuation mark includes a single space before it, as in GPT-2's tokens, so that joined tokens are the text.
WORD = re.compile(r" ?\w+| ?[^\w\s]|\s")
UNKNOWN_TEXT = "\ufffd"
MAX_KNOWN = 1 << 16  # words whose pieces are cached


def split_words(text: str) -> list[str]:
    """Cut a text into words, punctuation marks and white space.

    >>> split_words("Who, me? ")
    ['Who', ',', ' me', '?', ' ']
    """
    return WORD.findall(text)


def count_words(documents: Iterable[Text]) -> Counter[str]:
    """Count the words of some documents; a word that is cut between two blocks of a large text counts as two."""
    counts: Counter[str] = Counter()
    for document in documents:
        for block in text_blocks(document):
            counts.update(split_words(block))
    return counts


def name_words(words: Iterable[str]) -> str:
    """Return the first five of some words, for a message; for white space also the code point."""
    names = [repr(word) if word.strip() else name_characters(word) for word in words]
    return ", ".join(names[:5]) + (" and more" if len(names) > 5 else "")


def _bare(word: str) -> str:
    """Return a word without the space before it; leave white space unchanged."""
    return word.removeprefix(" ") or word


def _respaced(word: str) -> str:
    """Return a word without the space before it, or with one if it has none."""
    return word[1:] if word.startswith(" ") else f" {word}"


class WordVocabulary(Vocabulary):
    """The most frequent words, and an unknown token for all others.

    num_characters: the number of distinct characters in the corpus.
    """

    kind = "word"

    def __init__(self, words: Sequence[str], labels: Sequence[str] = (), *, num_characters: int) -> None:
        super().__init__([UNKNOWN_TEXT, *words], labels)
        self.num_characters = num_characters
        self._ids = {word: number for number, word in enumerate(words, start=self.unknown + 1)}
        if len(self._ids) != len(words):
            raise ValueError("a word occurs twice in the vocabulary")
        self.texts = ["", "", *words, *[""] * len(self.labels)]

    unknown = BOUNDARY + 1  # the token of a word that is not in the vocabulary

    @classmethod
    def of(cls, documents: Iterable[Text], labels: Sequence[str] = (), *, max_size: int) -> "WordVocabulary":
        """Collect the most frequent words of documents: `max_size` tokens with the boundary and the unknown token."""
        counts = count_words(documents)
        ranked = sorted(counts, key=lambda word: (-counts[word], word))
        return cls(ranked[: max(0, max_size - 2)], labels, num_characters=len(set().union(*counts)))

    def extended(self, documents: Iterable[Text], labels: Sequence[str], *, max_size: int) -> "WordVocabulary":
        """Return a vocabulary with the same words and the most frequent words of documents, up to `max_size` tokens."""
        others = WordVocabulary.of(documents, max_size=max_size + len(self))
        new = [word for word in others.pieces[1:] if word not in self._ids]
        room = max(0, max_size - len(self.pieces) - 1)
        characters = max(self.num_characters, others.num_characters)
        return WordVocabulary([*self.pieces[1:], *new[:room]], labels, num_characters=characters)

    def encode(self, text: str, *, on_unknown: str = "error") -> Ids:
        """Return the ids of a text's words; unknown words become the unknown token unless they are left out."""
        known, unknown = self._ids, self.unknown
        ids = [known.get(word, unknown) for word in split_words(text)]
        return np.array([one for one in ids if one != unknown] if on_unknown == "skip" else ids, self.dtype)

    def encode_prompt(self, text: str, *, on_unknown: str = "error") -> Ids:
        """Return the ids of a typed text's words, each matched with or without the space before it.

        on_unknown: for an unknown word, "error" raises UnknownTokenError, "skip" leaves it out, "nearest" uses the unknown
        token.
        """
        if on_unknown == "error" and (unknown := self.unknown_words(text)):
            raise UnknownTokenError(f"the model has never seen {name_words(unknown)}", hint=HOW_TO_GO_ON)
        ids = [self._nearest_id(word) for word in split_words(text)]
        return np.array([one for one in ids if one != self.unknown] if on_unknown == "skip" else ids, self.dtype)

    def unknown_words(self, text: str) -> list[str]:
        """Return the distinct words of a text that are unknown both with and without the space before them."""
        words = dict.fromkeys(split_words(text))
        return list(dict.fromkeys(_bare(word) for word in words if self._nearest_id(word) == self.unknown))

    def _nearest_id(self, word: str) -> int:
        return self._ids.get(word, self._ids.get(_respaced(word), self.unknown))

    def decode(self, ids: TokenIds) -> str:
        return "".join(self.texts[one] for one in np.asarray(ids).tolist())

    def spelling_nats(self, text: str) -> float:
        """Return the cost of the unknown words, in nats: each character, and the end of each word, drawn uniformly."""
        unknown = sum(len(word) + 1 for word in split_words(text) if word not in self._ids)
        return unknown * math.log(self.num_characters + 1)

    @property
    def silent_ids(self) -> Sequence[int]:
        return [self.unknown, *super().silent_ids]

    def to_mapping(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "words": list(self.pieces[1:]),
            "num_characters": self.num_characters,
            "labels": list(self.labels),
        }


class BpeVocabulary(Vocabulary):
    """The characters of a corpus and the subwords of byte-pair encoding (Sennrich et al. 2016).

    characters: the initial pieces. merges: pairs of pieces, the first merged first. Only finding the merges needs a library.
    """

    kind = "bpe"

    def __init__(self, characters: str, merges: Sequence[tuple[str, str]], labels: Sequence[str] = ()) -> None:
        self.characters, self.merges = characters, [(first, second) for first, second in merges]
        pieces = list(dict.fromkeys([*characters, *(first + second for first, second in self.merges)]))
        super().__init__(pieces, labels)
        self._ids = {piece: number for number, piece in enumerate(pieces, start=1)}
        if any(piece not in self._ids for pair in self.merges for piece in pair) or len(set(characters)) != len(characters):
            raise ValueError("its merges use pieces that it does not have")
        self._ranks = {pair: rank for rank, pair in enumerate(self.merges)}
        self._characters = set(characters)
        self._known: dict[str, list[int]] = {}  # cache of encoded words
        self.texts = ["", *pieces, *[""] * len(self.labels)]

    @classmethod
    def of(cls, documents: Iterable[Text], labels: Sequence[str] = (), *, max_size: int) -> "BpeVocabulary":
        """Find the merges on some documents with the tokenizers library. Raises ConfigError if it is not installed."""
        counts = count_words(documents)
        characters = "".join(sorted(set().union(*counts)))
        return cls(characters, _train_merges(counts, characters, max_size - 1), labels)

    def extended(self, documents: Iterable[Text], labels: Sequence[str]) -> "BpeVocabulary":
        """Return a vocabulary with the same merges and also the characters of some documents."""
        characters = set(self.characters) | characters_of(documents)
        return BpeVocabulary("".join(sorted(characters)), self.merges, labels)

    def encode(self, text: str, *, on_unknown: str = "error") -> Ids:
        if not self._characters.issuperset(text):
            text = known_text(text, self.characters, on_unknown)
        words = split_words(text)
        if len(self._known) > MAX_KNOWN:
            self._known = {}  # a new dictionary, since another thread may be reading the old one
        known = self._known
        for word in set(words) - known.keys():
            known[word] = self._encode_word(word)
        ids = [one for word in words for one in known[word]]
        return np.array(ids, self.dtype)

    def _encode_word(self, word: str) -> list[int]:
        """Merge the characters of a word, always the pair with the earliest merge first."""
        pieces = _Pieces(word, self._ranks)
        while places := pieces.next_places():
            for place in places:
                pieces.merge(place)
        return [self._ids[piece] for piece in pieces.texts if piece]

    def decode(self, ids: TokenIds) -> str:
        return "".join(self.texts[one] for one in np.asarray(ids).tolist())

    def to_mapping(self) -> dict[str, Any]:
        merges = [list(pair) for pair in self.merges]
        return {"kind": self.kind, "characters": self.characters, "merges": merges, "labels": list(self.labels)}


class _Pieces:
    """Merges the pieces of a word in time n log n, for long words such as a page without spaces.

    texts: the pieces; "" for a piece that was merged into the one before.
    """

    def __init__(self, word: str, ranks: Mapping[tuple[str, str], int]) -> None:
        self.texts, self._ranks = list(word), ranks
        self._after = list(range(1, len(word) + 1))  # the index of the next piece
        self._before = list(range(-1, len(word) - 1))
        self._rank = -1  # of the current pair
        self._pairs = [(ranks[pair], place) for place, pair in enumerate(pairwise(word)) if pair in ranks]
        heapify(self._pairs)

    def next_places(self) -> list[int]:
        """Return the indices of the pair with the earliest merge, from left to right; an empty list without pairs."""
        places: list[int] = []
        while self._pairs and (not places or self._pairs[0][0] == self._rank):
            self._rank, place = heappop(self._pairs)
            places.append(place)
        return places

    def merge(self, place: int) -> None:
        """Merge a piece with the next one, unless one of them was merged before."""
        if self._rank_at(place) != self._rank:
            return
        following = self._after[place]
        self.texts[place] += self.texts[following]
        self.texts[following] = ""
        self._after[place] = self._after[following]
        if self._after[place] < len(self.texts):
            self._before[self._after[place]] = place
        for first in (self._before[place], place):
            if (rank := self._rank_at(first)) is not None:
                heappush(self._pairs, (rank, first))

    def _rank_at(self, place: int) -> int | None:
        """Return the rank of the pair that begins at an index, or None."""
        if place < 0 or self._after[place] == len(self.texts):
            return None
        return self._ranks.get((self.texts[place], self.texts[self._after[place]]))


def _train_merges(counts: Counter[str], characters: str, num_pieces: int) -> list[tuple[str, str]]:
    try:
        from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    except ImportError:
        raise ConfigError("--tokens bpe needs the tokenizers library", hint="pip install 'chargen[bpe]'") from None
    import json

    tokenizer = Tokenizer(models.BPE())
    # The input is single words, so nothing is left to split; the library's own splitter would drop the spaces.
    tokenizer.pre_tokenizer = pre_tokenizers.Split(UNKNOWN_TEXT * 2, "isolated")
    trainer = trainers.BpeTrainer(vocab_size=num_pieces, initial_alphabet=list(characters), show_progress=False)
    tokenizer.train_from_iterator(_repeated(counts), trainer)
    return [(first, second) for first, second in json.loads(tokenizer.to_str())["model"]["merges"]]


def _repeated(counts: Counter[str]) -> Iterator[list[str]]:
    """Yield every word as often as it occurs, in a deterministic order."""
    for word in sorted(counts):
        yield [word] * counts[word]

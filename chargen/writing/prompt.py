"""Convert a prompt to token ids, and keep it as it was typed."""

from typing import NamedTuple

from chargen.corpus.vocabulary import Vocabulary
from chargen.corpus.words import WordVocabulary, split_words
from chargen.writing.scoring import IdArray


class Prompt(NamedTuple):
    """Hold a text to continue.

    text: as it was typed. ids: its tokens, (P,). spaced: the text ends with a space that is not among the ids, since the next
    token contains one.
    """

    text: str
    ids: IdArray
    spaced: bool = False

    @property
    def begun(self) -> str:
        """The text without a space that is not among the ids."""
        return self.text.removesuffix(" ") if self.spaced else self.text

    def fit(self, continuation: str) -> str:
        """Return a continuation, or its beginning, without the space that the text already ends with."""
        return continuation.removeprefix(" ") if self.spaced else continuation

    def tokens(self, vocabulary: Vocabulary) -> list[str]:
        """Return the name of each token, an unknown word as it was typed."""
        names = ["", *vocabulary]
        if not isinstance(vocabulary, WordVocabulary):
            return [names[token] for token in self.ids.tolist()]
        typed = split_words(self.text)
        return [typed[place] if token == vocabulary.unknown else names[token] for place, token in enumerate(self.ids.tolist())]


def read_prompt(vocabulary: Vocabulary, text: str, *, on_unknown: str = "error") -> Prompt:
    """Return a text as a prompt for models of a vocabulary.

    Raises UnknownTokenError for characters or words that are not in the vocabulary, unless on_unknown says otherwise, see
    `Vocabulary.encode_prompt`.

    >>> read_prompt(WordVocabulary(["The", " cat"], num_characters=6), "The ").spaced
    True
    """
    spaced = text.endswith(" ") and vocabulary.kind == "word" and " " not in vocabulary
    ids = vocabulary.encode_prompt(text.removesuffix(" ") if spaced else text, on_unknown=on_unknown)
    return Prompt(text, ids, spaced)

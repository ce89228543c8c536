"""Describe a corpus as tokens: its vocabulary, and the streams to train on and to measure."""

from typing import NamedTuple

from chargen.corpus.documents import Documents
from chargen.corpus.vocabulary import Vocabulary
from chargen.corpus.windows import TokenStream


class Tokenized(NamedTuple):
    """The tokens of a corpus.

    training: one stream for each text of a mix. validation: the held-out text, None if nothing is held out. documents: to train
    on; of tokens in files, some of them as examples. characters_per_token and spelling_nats: of the text that is measured; the
    end of a document counts as a character. in_files: whether `chargen tokenize` wrote the tokens.
    """

    vocabulary: Vocabulary
    training: tuple[TokenStream, ...]
    validation: TokenStream | None
    documents: Documents
    characters_per_token: float
    spelling_nats: float
    in_files: bool = False

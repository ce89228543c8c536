"""Split a corpus into text to train on and held-out text, and encode both as tokens."""

from collections.abc import Sequence

from chargen.corpus.corpus import Corpus, count_characters
from chargen.corpus.documents import Documents
from chargen.corpus.holdout import split_documents
from chargen.corpus.large_text import text_blocks
from chargen.corpus.tokenized import Tokenized
from chargen.corpus.tokens import build_vocabulary
from chargen.corpus.vocabulary import Vocabulary
from chargen.corpus.windows import Store, TokenStream, tokenize
from chargen.settings.schema import CorpusConfig


def tokenize_corpus(
    corpus: Corpus,
    config: CorpusConfig,
    *,
    seed: int,
    known: Vocabulary | None = None,
    stores: tuple[Store | None, Store | None] = (None, None),
) -> Tokenized:
    """Encode a corpus with a vocabulary of its own, which contains the tokens of a known one.

    seed: for the choice of the held-out text. stores: keep the ids to train on and the held-out ids, see
    `chargen.corpus.windows.tokenize`. Raises the errors of `build_vocabulary`.
    """
    documents, held_out = split_documents(corpus, config, seed=seed)
    vocabulary = build_vocabulary(config, corpus.texts, corpus.labels, known=known)
    for_training, for_validation = stores
    parts = range(len(corpus.proportions))
    training = tuple(tokenize(documents.of_part(part), vocabulary, store=for_training) for part in parts)
    validation = tokenize(held_out, vocabulary, store=for_validation) if held_out else None
    measured = [validation] if validation else training
    return Tokenized(vocabulary, training, validation, documents, *_conversion(held_out or documents, measured, vocabulary))


def _conversion(documents: Documents, streams: Sequence[TokenStream], vocabulary: Vocabulary) -> tuple[float, float]:
    """Return characters a token, and nats a token to spell what tokens leave out, of documents as streams."""
    blocks = (block for document in documents for block in text_blocks(document.text))
    tokens = sum(stream.num_targets for stream in streams)
    return count_characters(documents) / tokens, sum(map(vocabulary.spelling_nats, blocks)) / tokens

"""Load and split labelled texts for classification: rows of a table, or documents labelled by file or folder."""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from chargen.corpus.corpus import Corpus, corpus_name, digest_of, load_corpus
from chargen.corpus.documents import Documents
from chargen.corpus.formats.formatted import formatted
from chargen.corpus.formats.tables import Labels, wanted_columns
from chargen.corpus.reading import notes_about, read_sources
from chargen.corpus.vocabulary import BOUNDARY, Ids
from chargen.corpus.windows import Batch, BatchPlan, shuffled
from chargen.errors import CorpusError
from chargen.settings.schema import CorpusConfig

MIN_EXAMPLES = 2  # of each label: one for training, one for validation


def load_examples(config: CorpusConfig) -> Corpus:
    """Read labelled texts: tables, or with `label_by` files and folders; every document has a label.

    Raises CorpusError for a text that cannot be read, a file that is not a table, fewer than two labels, and a label with one
    text only; raises ConfigError for a missing column.
    """
    corpus = _load_labelled(config)
    counts = Counter(str(label) for label in corpus.documents.labels)
    if len(counts) < 2:
        found = f"only one label, {corpus.labels[0]!r}" if corpus.labels else "no row with a text and a label"
        raise CorpusError(f"{corpus.name} holds {found}, expected two labels or more", hint="is it the right --label-column?")
    label, count = min(counts.items(), key=lambda item: (item[1], item[0]))
    if count < MIN_EXAMPLES:
        raise CorpusError(
            f"the label {label!r} has {count} text, expected {MIN_EXAMPLES} or more", hint="give more texts, or leave it out"
        )
    return corpus


def load_test_examples(config: CorpusConfig, labels: Sequence[str]) -> Corpus:
    """Read the labelled texts of `test_files` in the way of the texts to train on, which have `labels`.

    Raises CorpusError for a text that cannot be read or has another label, and for files without any labelled text.
    """
    corpus = _load_labelled(replace(config, files=config.test_files, file_readings=()))
    if not corpus.documents:
        raise CorpusError(f"{corpus.name} holds no row with a text and a label")
    for label in corpus.labels:
        if label not in labels:
            raise CorpusError(
                f"{corpus.name} has the label {label!r}, which the model does not know",
                hint=f"labels: {', '.join(labels)}",
            )
    return corpus


def _load_labelled(config: CorpusConfig) -> Corpus:
    return load_corpus(config) if config.label_by != "none" else _load_tables(config)


def _load_tables(config: CorpusConfig) -> Corpus:
    read = read_sources(
        config.files,
        glob=config.glob,
        everything=config.folder_files == "all",
        encoding=config.encoding,
        format=config.format,
        columns=wanted_columns(config, Labels.ALWAYS),
    )
    sources = [formatted(source, config, labels=Labels.ALWAYS) for source in read]
    for source in sources:
        if source.rows is None:
            raise CorpusError(
                f"{source.name} is not a table of texts and labels, expected .csv, .tsv, .jsonl, .json or .parquet",
                hint="or label whole files: --label-by file, or folder",
            )
    documents = Documents(source.rows.spans for source in sources if source.rows)
    downloads = tuple(source.download for source in sources if source.download)
    return Corpus(
        corpus_name(config.files), documents, "row", digest_of(read), tuple(notes_about(sources)), downloads=downloads
    )


def split_examples(documents: Documents, fraction: float, *, seed: int) -> tuple[Documents, Documents]:
    """Hold out a share of the documents of each label and return (training, validation) documents.

    The documents are drawn with `seed`. Each label has at least one document on both sides, unless `fraction` is 0.
    """
    if fraction == 0:
        return documents, Documents()
    rng = random.Random(seed)
    labels, held_out = np.array(list(documents.labels)), np.zeros(len(documents), bool)
    for label in documents.label_names:
        (positions,) = np.nonzero(labels == label)
        count = min(max(1, round(fraction * len(positions))), len(positions) - 1)
        held_out[rng.sample(positions.tolist(), count)] = True
    return documents.take(np.flatnonzero(~held_out)), documents.take(np.flatnonzero(held_out))


def fixed_rows(documents: Sequence[Ids], context_length: int, dtype: npt.DTypeLike) -> npt.NDArray[np.unsignedinteger]:
    """Return the ids of documents as rows of one length, (documents, T).

    A longer document is cut to its last T tokens; a shorter one is padded at the front with the boundary token.

    >>> fixed_rows([np.array([5, 6, 7]), np.array([8])], 2, np.uint8).tolist()
    [[6, 7], [0, 8]]
    """
    rows = np.full((len(documents), context_length), BOUNDARY, dtype)
    for row, document in zip(rows, documents, strict=True):
        kept = document[-context_length:]
        row[context_length - len(kept) :] = kept
    return rows


class ExampleBatches(BatchPlan):
    """Whole texts and the indices of their labels, in a new random order in each epoch.

    rows: (N, T) ids. labels: (N,). Targets have shape (B,).
    """

    def __init__(
        self, rows: npt.NDArray[np.unsignedinteger], labels: npt.NDArray[np.int32], *, batch_size: int, seed: int
    ) -> None:
        self.rows, self.labels, self.batch_size, self.seed = rows, labels, batch_size, seed
        self.num_targets, self.context_length = rows.shape

    @property
    def num_steps(self) -> int:
        return -(-len(self.rows) // self.batch_size)

    def batches(self, epoch: int, first: int, count: int) -> Batch:
        positions = np.arange(first * self.batch_size, (first + count) * self.batch_size)
        chosen = shuffled(positions % len(self.rows), len(self.rows), key=(self.seed, epoch))
        weights = (positions < len(self.rows)).astype(np.float32)
        return Batch(self.rows[chosen].astype(np.int32), self.labels[chosen], weights).stacked(count)

"""Cut a text into the sliding windows of Keras's text generation example, a batch at a time."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import keras
import numpy as np
import numpy.typing as npt

from chargen.corpus.corpus import load_corpus
from chargen.corpus.large_text import text_blocks
from chargen.corpus.vocabulary import CharacterVocabulary, Ids, Vocabulary
from chargen.errors import ConfigError, CorpusError
from chargen.keras.vocabularies import AnyVocabulary, as_vocabulary
from chargen.settings.layers import check_value
from chargen.settings.schema import CorpusConfig, Setting
from chargen.shipped import shipped_files
from chargen.terminal import echo

Targets = Literal["last", "all"]
Arrays = tuple[npt.NDArray[Any], npt.NDArray[Any]]

LONGEST_NAME = 1000  # characters; a longer text names no file
SHIPPED_SUFFIX = ".txt"


class WindowDataset(keras.utils.PyDataset):
    """The windows of a text as a data set for `model.fit`, in batches that are made when they are needed.

    Shuffled windows fill all batches of an epoch: those left over come in another epoch. In order, the last batch is smaller.

    A batch is (inputs, targets). With one_hot, inputs are float32, (B, T, V), and targets float32, (B, V), or (B, T, V) with
    targets "all": the loss is categorical_crossentropy. Without, inputs are int32 ids, (B, T), and targets int32, (B,) or
    (B, T): sparse_categorical_crossentropy. Only one batch is in memory besides the ids of the text, of one to four bytes each.
    """

    def __init__(
        self,
        ids: Ids,
        *,
        vocab_size: int,
        context_length: int,
        stride: int,
        one_hot: bool,
        targets: Targets,
        batch_size: int,
        shuffle: bool,
        random_seed: int,
    ) -> None:
        super().__init__()
        self.vocab_size, self.context_length, self.stride = vocab_size, context_length, stride
        self.one_hot, self.targets, self.batch_size = one_hot, targets, batch_size
        self._ids, self._shuffle, self._random_seed, self._epoch = ids, shuffle, random_seed, 0
        self.num_windows = max(0, (len(ids) - context_length - 1) // stride + 1)
        self._order = self._drawn_order()

    def __len__(self) -> int:
        """Return the number of batches of an epoch."""
        full, left = divmod(self.num_windows, self.batch_size)
        return full if full and self._shuffle else full + (left > 0)

    def __getitem__(self, index: int) -> Arrays:
        first = index * self.batch_size
        return self._windows(self._order[first : first + self.batch_size], np.float32)

    def on_epoch_end(self) -> None:
        """Draw the order of the next epoch; Keras calls it."""
        self._epoch += 1
        self._order = self._drawn_order()

    def arrays(self) -> Arrays:
        """Return all windows in the order of the text, as `fit` takes them too.

        With one_hot this takes a byte for each of N x T x V entries (bool); for most texts, that is gigabytes. Without, four
        bytes for each of N x T.
        """
        return self._windows(np.arange(self.num_windows), np.bool_)

    def tf_dataset(self) -> Any:
        """Return a `tf.data.Dataset` of the same batches, shuffled anew in each epoch. Needs TensorFlow.

        Its autotuning is off: with it, `fit` may return seconds after its last batch.
        """
        import tensorflow as tf

        full = self.num_windows >= self.batch_size and self._shuffle
        rows = self.batch_size if full else None  # known rows let chargen's layers use their kernels in C
        signature = tuple(tf.TensorSpec((rows, *array.shape[1:]), array.dtype) for array in self[0])
        options = tf.data.Options()
        options.autotune.enabled = False

        def batch(rows: Any) -> Any:
            made = tf.numpy_function(lambda some: self._windows(some, np.float32), [rows], [one.dtype for one in signature])
            return tuple(tf.ensure_shape(one, spec.shape) for one, spec in zip(made, signature, strict=True))

        dataset = tf.data.Dataset.range(self.num_windows)
        if self._shuffle:
            dataset = dataset.shuffle(self.num_windows, seed=self._random_seed)
        return dataset.batch(self.batch_size, drop_remainder=full).map(batch).prefetch(2).with_options(options)

    def _drawn_order(self) -> npt.NDArray[np.int64]:
        if not self._shuffle:
            return np.arange(self.num_windows)
        return np.random.default_rng([self._random_seed, self._epoch]).permutation(self.num_windows)

    def _windows(self, rows: npt.NDArray[np.int64], dtype: type[np.generic]) -> Arrays:
        """Return the inputs and targets of some windows; dtype: of one-hot vectors."""
        ids = self._ids[(rows * self.stride)[:, None] + np.arange(self.context_length + 1)].astype(np.int32)  # (B, T + 1)
        inputs, targets = ids[:, :-1], ids[:, 1:] if self.targets == "all" else ids[:, -1]
        if not self.one_hot:
            return inputs, targets
        return _one_hot(inputs, self.vocab_size, dtype), _one_hot(targets, self.vocab_size, dtype)


class Windows:
    """A text in windows: `training` and `validation` for `fit`, and the `vocabulary` of the ids.

    `validation` is None where nothing is held out. `vocab_size` is the width of one-hot vectors and of the model's output.
    """

    def __init__(
        self,
        text: str,
        vocabulary: Vocabulary,
        *,
        training: WindowDataset,
        validation: WindowDataset | None,
    ) -> None:
        self.text, self.vocabulary = text, vocabulary
        self.training, self.validation = training, validation

    @property
    def vocab_size(self) -> int:
        """Tokens of the vocabulary: its characters, and id 0, which stands for the boundary of a text and never occurs here."""
        return len(self.vocabulary)

    @property
    def context_length(self) -> int:
        """Tokens of a window."""
        return self.training.context_length

    def __repr__(self) -> str:
        return (
            f"Windows({len(self.text):,} characters, {self.vocab_size} tokens, {self.training.num_windows:,} windows of "
            f"{self.context_length} every {self.training.stride})"
        )


def windows(
    text_or_file: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    *,
    context_length: int = 40,
    stride: int = 3,
    one_hot: bool = True,
    targets: Targets = "last",
    batch_size: int = 128,
    validation_split: float = 0.1,
    vocabulary: AnyVocabulary | None = None,
    shuffle: bool = True,
    random_seed: int = 1,
) -> Windows:
    """Cut a text into windows of `context_length` characters, one every `stride`, for a Keras model to learn what follows.

    text_or_file: a file, several files, the name of a text that comes with chargen, or a text. targets: whether the character
    after a window is to be predicted, or the one after each position. validation_split: the share at the end of the text that
    `validation` holds. vocabulary: the tokens to use, such as those of a trained run, instead of the text's own characters.
    `WindowDataset` describes the arrays. Raises CorpusError for a file that cannot be read and a text that is too short,
    ConfigError for values out of range, UnknownTokenError for characters that a given vocabulary lacks.

    >>> data = windows("hello world, hello moon", context_length=4, stride=1, batch_size=8, validation_split=0)
    >>> data
    Windows(23 characters, 12 tokens, 19 windows of 4 every 1)
    >>> inputs, targets = data.training[0]
    >>> inputs.shape, targets.shape, data.vocab_size
    ((8, 4, 12), (8, 12), 12)
    """
    for name, value in (("context_length", context_length), ("stride", stride), ("batch_size", batch_size)):
        check_value(name, value, int, Setting(help="", minimum=1))
    check_value("validation_split", float(validation_split), float, Setting(help="", minimum=0.0, maximum=0.9))
    check_value("targets", targets, str, Setting(help="", choices=("last", "all")))
    text = read_text(text_or_file)
    known = CharacterVocabulary.of([text]) if vocabulary is None else as_vocabulary(vocabulary)
    ids = known.encode(text)
    num_held_out = int(len(ids) * validation_split)
    shared: dict[str, Any] = {"vocab_size": len(known), "context_length": context_length, "stride": stride}
    shared |= {"one_hot": one_hot, "targets": targets, "batch_size": batch_size, "random_seed": random_seed}
    training = WindowDataset(ids[: len(ids) - num_held_out], shuffle=shuffle, **shared)
    validation = WindowDataset(ids[len(ids) - num_held_out :], shuffle=False, **shared) if num_held_out else None
    if not training.num_windows or (validation is not None and not validation.num_windows):
        raise _too_short(text_or_file, len(ids), num_held_out, context_length)
    return Windows(text, known, training=training, validation=validation)


def read_text(text_or_file: str | os.PathLike[str] | Sequence[str | os.PathLike[str]]) -> str:
    """Return a text, or what some files hold; files are read as `chargen train --document` reads them.

    Raises CorpusError for a file that cannot be read.
    """
    if isinstance(text_or_file, str) and not _is_file(text_or_file):
        return text_or_file
    named = [text_or_file] if isinstance(text_or_file, str | os.PathLike) else list(text_or_file)
    if not named:
        raise ConfigError("no file is given, expected a file, several or a text")
    config = CorpusConfig(files=tuple(os.fspath(one) for one in named), reading="document", separator="none")
    corpus = load_corpus(config)
    for note in corpus.notes:
        echo(note, err=True)
    return "\n".join("".join(text_blocks(text)) for text in corpus.texts)


def _is_file(text: str) -> bool:
    """Tell whether a text is the name of a file or of a text that comes with chargen."""
    if len(text) > LONGEST_NAME or "\n" in text or "\0" in text:
        return False
    try:
        return Path(text).exists() or text.removesuffix(SHIPPED_SUFFIX) in {path.stem for path in shipped_files("corpora")}
    except OSError:  # such as a name too long
        return False


def _too_short(given: Any, length: int, num_held_out: int, context_length: int) -> CorpusError:
    share = f"{length} characters" + (f", {num_held_out} of them for validation" if num_held_out else "")
    named = isinstance(given, str) and len(given) <= LONGEST_NAME and "\n" not in given and not _is_file(given)
    what = f"there is no file {given!r}, and as a text it" if named else "the text"
    return CorpusError(
        f"{what} has {share}, expected more than {context_length}" + (" for each part" if num_held_out else ""),
        hint="give a longer text, or a smaller context_length or validation_split",
    )


def _one_hot(ids: npt.NDArray[np.int32], vocab_size: int, dtype: type[np.generic]) -> npt.NDArray[Any]:
    """Return (*shape, V) vectors with a 1 at the place of each id."""
    vectors = np.zeros((*ids.shape, vocab_size), dtype)
    np.put_along_axis(vectors, ids[..., None], 1, axis=-1)
    return vectors

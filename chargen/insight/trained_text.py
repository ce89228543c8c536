"""The text of a run once more: what it was trained on, and what it never saw."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from chargen.config import CorpusConfig, Settings
from chargen.corpus.documents import Document, digest_of, load_corpus, split_documents
from chargen.corpus.reading import STDIN, read_sources
from chargen.corpus.vocabulary import Vocabulary
from chargen.errors import ConfigError, CorpusError, RunError
from chargen.network.model_file import TextModel
from chargen.resolution import read_config, resolve
from chargen.run import RunDirectory

FILE_HINT = "chargen evaluate RUN FILE takes another text"


@dataclass(frozen=True, kw_only=True)
class TrainedText:
    """The documents of a run's corpus, split as for its training."""

    name: str
    sha256: str
    training: Sequence[Document]
    held_out: Sequence[Document]


def read_settings(run: RunDirectory) -> Settings:
    """Return the settings that a run was trained with. Raises RunError for a folder without them, ConfigError for odd ones."""
    if not run.config.is_file():
        raise RunError(f"{run.path} has no config.toml that tells its text", hint=FILE_HINT)
    return resolve(read_config(str(run.config))).settings


def read_trained_text(settings: Settings, model: TextModel) -> TrainedText:
    """Read the corpus of a run anew and split it as training did.

    Raises CorpusError where it cannot be read, came through a pipe, or is not the text that the model was trained on.
    """
    corpus_config, seed = settings.corpus, settings.training.random_seed
    names = [*corpus_config.files, *(one.rpartition(":")[0] for one in corpus_config.mix)]
    if STDIN in names:
        raise CorpusError("the run was trained on standard input, which is gone", hint=FILE_HINT)
    try:
        corpus = load_corpus(corpus_config, stateful=settings.training.stateful)
    except CorpusError as error:
        raise CorpusError(f"the run's own text cannot be read: {error.message}", hint=FILE_HINT) from error
    trained_on = str(model.provenance.get("sha256"))
    if corpus.sha256 != trained_on:
        raise CorpusError(
            f"the text of {corpus.name} has changed since the run was trained on it: its sha256 is {corpus.sha256:.12}..., "
            f"it was {trained_on:.12}...",
            hint=f"put the old text back; {FILE_HINT}",
        )
    training, held_out = split_documents(corpus, corpus_config.validation_split, seed=seed)
    return TrainedText(name=corpus.name, sha256=corpus.sha256, training=training, held_out=held_out)


def read_files(
    files: Sequence[str], model: TextModel, config: CorpusConfig, *, label: str | None, on_unknown: str
) -> tuple[list[Document], str]:
    """Read texts whole as documents of the kind that a model reads; return them and the sha256 of the texts.

    A character that the model has never seen is left out or replaced, or is an UnknownTokenError, as `on_unknown` says.
    Raises CorpusError for what cannot be read, and ConfigError for a model of labelled documents without a label.
    """
    if model.vocabulary.labels and label is None:
        known = ", ".join(model.vocabulary.labels)
        raise ConfigError("the model knows documents by their labels", hint=f"choose --label from {known}")
    if label is not None:
        model.vocabulary.label_id(label)
    encoding = None if model.vocabulary.kind == "byte" and config.encoding == "auto" else config.encoding
    sources = read_sources(files, glob=config.glob, encoding=encoding)
    texts = [text for source in sources for text in _documents(str(source.text), model.reading)]
    documents = [Document(_readable(text, model.vocabulary, on_unknown), label) for text in texts]
    documents = [one for one in documents if str(one.text).strip()]
    if not documents:
        raise CorpusError(f"{Path(sources[0].name).name} holds no text that the model can read")
    return documents, digest_of(sources)


def _documents(text: str, reading: str) -> list[str]:
    return text.split("\n") if reading == "line" else [text]


def _readable(text: str, vocabulary: Vocabulary, on_unknown: str) -> str:
    """Return a text without the characters that a vocabulary cannot say."""
    if on_unknown == "error" or vocabulary.kind not in ("character", "bpe"):
        return text
    return vocabulary.decode(vocabulary.encode(text, on_unknown=on_unknown))

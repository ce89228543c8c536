"""Read the text of a run again, check it against its sha256, and split it as training did."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, TypeVar

from chargen.corpus.corpus import Corpus, cut_corpus, digest_of, read_corpus
from chargen.corpus.cutting import cut_like
from chargen.corpus.decoding import Decoding
from chargen.corpus.documents import Document, Documents
from chargen.corpus.encodings import AUTO
from chargen.corpus.examples import load_examples, split_examples
from chargen.corpus.formats.formatted import formatted
from chargen.corpus.formats.tables import wanted_columns
from chargen.corpus.holdout import split_documents
from chargen.corpus.legacy import FORMER_GUESSES
from chargen.corpus.licence import without_licences
from chargen.corpus.reading import STDIN, SourceText, read_texts
from chargen.corpus.vocabulary import Vocabulary
from chargen.errors import ChargenError, ConfigError, CorpusError
from chargen.network.model_file import TextModel, read_metadata
from chargen.runs.config import read_settings
from chargen.runs.directory import RunDirectory
from chargen.settings.schema import CorpusConfig


@dataclass(frozen=True, kw_only=True)
class TrainedText:
    """The documents of a run's corpus, split as for its training."""

    name: str
    sha256: str
    training: Sequence[Document]
    held_out: Sequence[Document]


class _Reading(Protocol):
    """A corpus as one version of chargen reads it."""

    @property
    def sha256(self) -> str:
        """The digest of its texts."""


ReadingT = TypeVar("ReadingT", bound=_Reading)


@dataclass(frozen=True)
class FoundText:
    """The texts that a run was trained on, each with its part of a mix, and the settings that name the files."""

    config: CorpusConfig
    parts: Sequence[tuple[int, SourceText]]

    @property
    def sha256(self) -> str:
        """The digest of the texts."""
        return digest_of([source for _, source in self.parts])


def find_text(run: RunDirectory, sha256: Any) -> FoundText:
    """Read the texts that a run's config.toml names, and check their sha256.

    Paths are tried from the current folder, then from the folder that contains `runs/`. Raises CorpusError for a text that came
    through a pipe, cannot be read or has changed, and what `read_settings` raises.
    """
    return _find_reading(run, sha256, _readings)


def _find_reading(run: RunDirectory, sha256: Any, readings: Callable[[CorpusConfig], Iterator[ReadingT]]) -> ReadingT:
    """Return the first of the readings of a run's corpus with this sha256. Raises what `find_text` raises."""
    config = read_settings(run).corpus
    if STDIN in (*config.files, *(one.rpartition(":")[0] for one in config.mix)):
        raise CorpusError(
            f"{run.path} was trained on standard input, which cannot be read again", hint="train on a file instead"
        )
    failures: list[ChargenError] = []
    for candidate in _candidates(config, run):
        try:
            for reading in readings(candidate):
                found = reading.sha256
                if found == sha256:
                    return reading
        except ChargenError as error:
            failures.append(error)
            continue
        failures.insert(0, CorpusError(f"it has changed: its sha256 is {found:.12}..., it was {sha256!s:.12}..."))
    raise CorpusError(
        f"the text that {run.path} was trained on cannot be used: {failures[0].message}",
        hint="restore the text in the same place",
    ) from failures[0]


def _readings(config: CorpusConfig) -> Iterator[FoundText]:
    """Yield the corpus as this version reads it, then with the encodings that older versions may have guessed."""
    yield (now := FoundText(config, read_corpus(config)))
    sources = [source for _, source in now.parts]
    if config.encoding == AUTO and any(source.decoding != Decoding() for source in sources):
        for encoding in FORMER_GUESSES:
            with suppress(CorpusError):
                guessed = replace(config, encoding=encoding)
                yield FoundText(guessed, read_corpus(guessed))


def _candidates(config: CorpusConfig, run: RunDirectory) -> Iterator[CorpusConfig]:
    """Yield the corpus with the paths of the config, then with paths from the folder where the run was made."""
    yield config
    path = run.path.resolve()
    whole = path.parents[1] if path.parent.name == run.members.name else path  # of one of several networks
    folder = whole.parent.parent
    if folder != Path.cwd():
        there = [tuple(_seen_from(folder, name) for name in names) for names in (config.files, config.mix)]
        yield replace(config, files=there[0], mix=there[1])


def _seen_from(folder: Path, name: str) -> str:
    """Return the path of a file, or PATH:WEIGHT, in a folder if it is there; the name of a shipped text is not changed."""
    found = [path for path in (name, name.rpartition(":")[0]) if path and (folder / path).exists()]
    return str(folder / name) if found else name


def read_trained_text(run: RunDirectory, model: TextModel) -> TrainedText:
    """Read the corpus of a run again and split it as training did. Raises what `find_text` raises."""
    text, training = find_text(run, model.provenance.get("sha256")), read_settings(run).training
    corpus = cut_corpus(text.config, text.parts, stateful=training.stateful)
    learnt, held_out = split_documents(corpus, text.config, seed=training.random_seed)
    return TrainedText(name=corpus.name, sha256=corpus.sha256, training=learnt, held_out=held_out)


def read_trained_examples(run: RunDirectory, sha256: Any) -> tuple[Documents, Documents]:
    """Return the labelled texts that a classifier was trained on and those held out. Raises what `find_text` raises."""
    settings = read_settings(run)

    def reading(config: CorpusConfig) -> Iterator[Corpus]:
        yield load_examples(config)

    documents = _find_reading(run, sha256, reading).documents
    return split_examples(documents, settings.corpus.validation_split, seed=settings.training.random_seed)


def training_texts(models: Sequence[Path]) -> list[SourceText]:
    """Return the texts that some models were trained on, each corpus once. Raises what `find_text` raises."""
    digests: dict[Any, Path] = {}
    for model in models:
        digests.setdefault(read_metadata(model)["provenance"].get("sha256"), model)
    found = [find_text(RunDirectory(model.parent), sha256) for sha256, model in digests.items()]
    return [source for text in found for _, source in text.parts]


def read_files(
    files: Sequence[str], model: TextModel, config: CorpusConfig, *, label: str | None, on_unknown: str
) -> tuple[list[Document], str, list[str]]:
    """Read texts as documents for a model, tables row by row; return them, the sha256 of the texts, and notes for the user.

    Licences are left out if `config` says so. Unknown characters are left out, replaced, or raise UnknownTokenError, as
    `on_unknown` says. Raises CorpusError for a text that cannot be read, and ConfigError if the model needs a label.
    """
    encoding = None if model.vocabulary.kind == "byte" and config.encoding == "auto" else config.encoding
    read = read_texts(files, glob=config.glob, encoding=encoding, format=config.format, columns=wanted_columns(config))
    sources = [formatted(source, config) for source in read]
    sha256 = digest_of(sources)
    sources, notes = without_licences(sources, "as in training") if config.strip_licence else (sources, [])
    texts = [str(piece) for source in sources for text in source.texts for piece in cut_like(text, config)]
    name = Path(sources[0].name).name
    return as_documents(texts, model, name=name, label=label, on_unknown=on_unknown), sha256, notes


def as_documents(texts: Sequence[str], model: TextModel, *, name: str, label: str | None, on_unknown: str) -> list[Document]:
    """Return texts as documents for a model; name: of the texts, for the error if nothing can be read.

    Raises what `read_files` raises.
    """
    if model.vocabulary.labels and label is None:
        known = ", ".join(model.vocabulary.labels)
        raise ConfigError("the documents of this model have labels, and none is given", hint=f"choose --label from {known}")
    if label is not None:
        model.vocabulary.label_id(label)
    parts = [part for text in texts for part in _documents(text, model.reading)]
    documents = [Document(_readable(part, model.vocabulary, on_unknown), label) for part in parts]
    documents = [one for one in documents if str(one.text).strip()]
    if not documents:
        raise CorpusError(f"{name} holds no text that the model can read")
    return documents


def _documents(text: str, reading: str) -> list[str]:
    return text.split("\n") if reading == "line" else [text]


def _readable(text: str, vocabulary: Vocabulary, on_unknown: str) -> str:
    """Return a text with its unknown characters left out or replaced."""
    if on_unknown == "error" or vocabulary.kind not in ("character", "bpe"):
        return text
    return vocabulary.decode(vocabulary.encode(text, on_unknown=on_unknown))

"""Write the tokens of a corpus into a folder once, and read such a folder as a corpus."""

import hashlib
import io
import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, fields, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from chargen.corpus.corpus import Corpus, CorpusFile, load_corpus
from chargen.corpus.documents import Document, Documents, Spans
from chargen.corpus.downloads import download, is_address
from chargen.corpus.large_text import LargeText
from chargen.corpus.shards import AGAIN, FACTS, Shard, ShardedIds, is_token_folder, write_shards
from chargen.corpus.tokenized import Tokenized
from chargen.corpus.tokenizing import tokenize_corpus
from chargen.corpus.tokens import vocabulary_from_mapping
from chargen.corpus.vocabulary import Ids, Vocabulary
from chargen.corpus.windows import TokenStream
from chargen.errors import ConfigError, CorpusError
from chargen.files import sync_folder, write_durably
from chargen.settings.schema import CorpusConfig

ARRAYS = "documents.npz"
FORMAT = 1
EXAMPLES, EXAMPLE_TOKENS = 64, 2000  # documents that are decoded, to begin sample texts with, and tokens of each


class TokenFolder(NamedTuple):
    """What a folder of tokens says. config: the settings that the text was read with."""

    corpus: Corpus
    config: Mapping[str, Any]

    def figures(self) -> dict[str, int]:
        """Return the size of the text."""
        tokenized = self.corpus.tokenized
        assert tokenized is not None
        held_out = tokenized.validation.span if tokenized.validation else 0
        return {
            "documents": len(self.corpus.documents),
            "characters": self.corpus.num_characters,
            "vocabulary": len(tokenized.vocabulary.pieces),
            "training_tokens": tokenized.training[0].span,
            "validation_tokens": held_out,
        }


def write_token_folder(path: Path, config: CorpusConfig, *, seed: int) -> TokenFolder:
    """Read and tokenize the configured files, and write the tokens into a new folder, which appears whole or not at all.

    seed: for the choice of the held-out text. Raises ConfigError for settings that a folder of tokens cannot have and for a
    folder that exists, CorpusError for files that cannot be read, and OSError.
    """
    if path.exists():
        raise ConfigError(f"{path} exists already", hint="give another --output, or remove it first")
    if config.mix or config.label_by != "none" or config.label_column:
        raise ConfigError("tokens in files are of one text without labels", hint="leave --mix and labels out")
    corpus = load_corpus(config)
    if corpus.labels:
        raise ConfigError(f"{corpus.name} has labels, but tokens in files have none", hint="give texts without labels")
    config = replace(config, **corpus.recorded)
    with _new_folder(path) as folder:
        shards: dict[str, list[Shard]] = {"training": [], "validation": []}
        stores = tuple(partial(_store, folder, name, shards[name]) for name in shards)
        tokenized = tokenize_corpus(corpus, config, seed=seed, stores=(stores[0], stores[1]))
        digest = _write_arrays(folder, corpus, tokenized)
        facts = _facts(corpus, config, tokenized) | {"shards": shards, "arrays": digest}
        write_durably(folder / FACTS, json.dumps(facts, ensure_ascii=False, indent=1).encode())
        sync_folder(folder)
    loaded = load_token_folder(str(path))
    return loaded._replace(corpus=replace(loaded.corpus, notes=corpus.notes))


@contextmanager
def _new_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder that becomes `path` at the end, or is removed after an error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp") as name:
        folder = Path(name, path.name)
        folder.mkdir()
        yield folder
        folder.rename(path)
        sync_folder(path.parent)


def _store(folder: Path, prefix: str, shards: list[Shard], blocks: Iterable[Ids], vocabulary: Vocabulary) -> ShardedIds:
    shards += write_shards(folder, prefix, blocks, vocabulary.dtype)
    return ShardedIds(str(folder), shards, vocabulary.dtype, vocab_size=len(vocabulary))


def _write_arrays(folder: Path, corpus: Corpus, tokenized: Tokenized) -> str:
    """Write the bounds of the documents, and return the checksum of the file."""
    arrays: dict[str, Any] = {"lengths": corpus.documents.lengths}
    for name, stream in (("training", tokenized.training[0]), ("validation", tokenized.validation)):
        if stream is not None:
            arrays |= {f"{name}_starts": stream.starts, f"{name}_unended": stream.unended}
    with (folder / ARRAYS).open("xb") as file:
        np.savez(file, **arrays)
    return hashlib.sha256((folder / ARRAYS).read_bytes()).hexdigest()


def _facts(corpus: Corpus, config: CorpusConfig, tokenized: Tokenized) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "corpus": {"name": corpus.name, "reading": corpus.reading, "entries": corpus.entries, "text_sha256": corpus.sha256},
        "files": [list(file) for file in corpus.files],
        "config": asdict(config),
        "vocabulary": tokenized.vocabulary.to_mapping(),
        "characters_per_token": tokenized.characters_per_token,
        "spelling_nats": tokenized.spelling_nats,
    }


def find_token_folder(files: tuple[str, ...]) -> TokenFolder | None:
    """Return the folder of tokens that the only file is; None if no file is one. Raises ConfigError for one among others."""
    found = [file for file in files if is_token_folder(file)]
    if not found:
        return None
    if len(files) > 1:
        raise ConfigError(f"{found[0]} is a folder of tokens, which is trained on alone", hint="give no other files")
    return load_token_folder(found[0])


def load_token_folder(file: str) -> TokenFolder:
    """Read a folder of tokens. Raises CorpusError if it is damaged, or not one of `chargen tokenize`."""
    folder = file.removesuffix(FACTS).rstrip("/") or "."
    content = _read(folder, FACTS)
    try:
        facts = json.loads(content)
        if facts["format"] != FORMAT:
            raise CorpusError(f"{file} has format {facts['format']}, expected {FORMAT}", hint="run chargen tokenize again")
        arrays = _arrays(folder, facts["arrays"])
        return TokenFolder(_corpus(folder, facts, arrays, hashlib.sha256(content).hexdigest()), _config(facts["config"]))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CorpusError(f"{folder}/{FACTS} is damaged: {error!r:.100}", hint=AGAIN) from error


def _read(folder: str, name: str) -> bytes:
    path = download(f"{folder}/{name}").path if is_address(folder) else Path(folder, name)
    try:
        return path.read_bytes()
    except OSError as error:
        raise CorpusError(f"cannot read {path}: {error.strerror}", hint="chargen tokenize writes it") from error


def _arrays(folder: str, digest: str) -> dict[str, Any]:
    content = _read(folder, ARRAYS)
    if hashlib.sha256(content).hexdigest() != digest:
        raise CorpusError(f"{folder}/{ARRAYS} is damaged: it has another sha256 than when it was written", hint=AGAIN)
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        return dict(arrays)


def _config(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the settings that the text was read with, checked by name."""
    known = {one.name for one in fields(CorpusConfig)}
    if not config.keys() <= known:
        raise ValueError(f"unknown settings {sorted(config.keys() - known)}")
    return {name: value for name, value in config.items() if value is not None and name != "files"}


def _corpus(folder: str, facts: Mapping[str, Any], arrays: Mapping[str, Any], digest: str) -> Corpus:
    vocabulary = vocabulary_from_mapping(facts["vocabulary"])

    def stream(name: str) -> TokenStream:
        shards = [_shard(*one) for one in facts["shards"][name]]
        ids = ShardedIds(folder, shards, vocabulary.dtype, vocab_size=len(vocabulary))
        starts = arrays[f"{name}_starts"]
        if starts[-1] != len(ids) - 1:
            raise ValueError(f"{len(ids):,} tokens, expected {starts[-1] + 1:,}")
        return TokenStream(ids, starts, len(vocabulary), arrays[f"{name}_unended"])

    training = stream("training")
    described, stops = facts["corpus"], np.cumsum(arrays["lengths"])
    nothing = LargeText(())  # the documents have lengths, but their text is only in the tokens
    return Corpus(
        described["name"],
        Documents([Spans(nothing, stops - arrays["lengths"], stops)]),
        described["reading"],
        digest,
        files=tuple(CorpusFile(*one) for one in facts["files"]),
        entries=described["entries"],
        tokenized=Tokenized(
            vocabulary,
            (training,),
            stream("validation") if facts["shards"]["validation"] else None,
            _examples(training, vocabulary),
            facts["characters_per_token"],
            facts["spelling_nats"],
            in_files=True,
        ),
    )


def _shard(name: str, tokens: int, sha256: str) -> Shard:
    if Path(name).name != name or type(tokens) is not int or tokens < 0:
        raise ValueError(f"a shard {name!r:.40} of {tokens!r:.40} tokens")
    return Shard(name, tokens, sha256)


def _examples(stream: TokenStream, vocabulary: Vocabulary) -> Documents:
    """Return the beginnings of some documents, as text."""
    numbers = np.unique(np.linspace(0, len(stream.starts) - 2, EXAMPLES).astype(int)).tolist()
    bounds = [(int(stream.starts[one]) + 1, int(stream.starts[one + 1])) for one in numbers]
    texts = [vocabulary.decode(stream.ids[start : min(stop, start + EXAMPLE_TOKENS)]) for start, stop in bounds]
    return Documents.of(Document(text) for text in texts if text)

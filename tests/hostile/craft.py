"""Build model files by hand: valid ones of every kind, and invalid ones from parts."""

import json
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from chargen.corpus.documents import Document
from chargen.corpus.vocabulary import ByteVocabulary, CharacterVocabulary, Vocabulary
from chargen.corpus.windows import tokenize
from chargen.corpus.words import BpeVocabulary, WordVocabulary
from chargen.memory.building import build_grams, known_lines
from chargen.memory.lines import KnownLines
from chargen.memory.ngrams import NgramMemory
from chargen.network.average import NetworkAverage
from chargen.network.model_file import TextModel, save_model
from chargen.network.network import Network, weight_shapes
from chargen.network.tensor_file import LENGTH_BYTES, METADATA, NO_CHECKSUM, with_checksum
from chargen.settings.schema import NetworkConfig
from chargen.writing.classifier import TextClassifier, save_classifier

SEED = 5


def _network(config: NetworkConfig, vocab_size: int, num_outputs: int | None = None) -> Network:
    rng = np.random.default_rng(SEED)
    shapes = weight_shapes(config, vocab_size, num_outputs=num_outputs)
    weights = {name: np.abs(rng.normal(size=shape)).astype(np.float32) for name, shape in shapes.items()}
    return Network(config, vocab_size, weights)


def _text_model(vocabulary: Vocabulary, **config: Any) -> TextModel:
    return TextModel(
        network=_network(NetworkConfig(**{"hidden_size": 5, "embedding_size": 4} | config), len(vocabulary)),
        vocabulary=vocabulary,
        reading="line",
        context_length=3,
        primer=(0, 2),
        ends=True,
        provenance={"corpus": "names", "sha256": "ab" * 32, "epochs": 3, "bits_per_character": 2.5},
    )


def text_models() -> dict[str, TextModel]:
    """Return a small model for each kind of tokens and cell, and one with a memory."""
    merges = [("a", "b"), ("ab", "c")]
    return {
        "characters": _text_model(CharacterVocabulary("\nabc\u00e9\U0001f600"), num_layers=2, layer_norm=True),
        "bytes": _text_model(ByteVocabulary(), cell="simplernn", hidden_size=2, embedding_size=0, dense_size=3),
        "words": _text_model(WordVocabulary(["a", " b", "\u4e16"], ["x", "y"], num_characters=4), cell="gru"),
        "bpe": _text_model(BpeVocabulary("abc", merges), cell="gru", reset_after=False, embedding_norm="batch"),
        "several": _several(CharacterVocabulary("abc")),
        "memory": _remembering(_text_model(CharacterVocabulary("abc"))),
    }


def _remembering(model: TextModel) -> TextModel:
    """Return a model with an n-gram memory that knows lines."""
    vocab_size = len(model.vocabulary)
    stream = tokenize([Document(line) for line in ("ab", "cab", "ab", "abc")], model.vocabulary)
    lines = KnownLines(known_lines([stream]), (0.5, 0.25))
    grams = build_grams([stream], vocab_size)
    return replace(model, memory=NgramMemory(grams, vocab_size=vocab_size, first_label=vocab_size, weight=0.25, lines=lines))


def _several(vocabulary: Vocabulary) -> TextModel:
    members = [_text_model(vocabulary, cell=cell, hidden_size=3).one_network for cell in ("lstm", "mlstm")]
    return replace(_text_model(vocabulary), network=NetworkAverage(members))


def classifier() -> TextClassifier:
    """Return a small classifier."""
    vocabulary = CharacterVocabulary("abc")
    network = _network(NetworkConfig(hidden_size=3, embedding_size=2, targets="last"), len(vocabulary), 1)
    return TextClassifier(network=network, vocabulary=vocabulary, labels=("no", "yes"), context_length=4)


def valid_files() -> dict[str, bytes]:
    """Return the bytes of a model file of every kind."""
    with tempfile.TemporaryDirectory() as folder:
        path, found = Path(folder, "model"), {}
        for name, model in text_models().items():
            save_model(path, model)
            found[name] = path.read_bytes()
        save_classifier(path, classifier())
        return found | {"classifier": path.read_bytes()}


def split(content: bytes) -> tuple[bytes, bytes]:
    """Return the header and the tensors' bytes of a valid file."""
    end = LENGTH_BYTES + int.from_bytes(content[:LENGTH_BYTES], "little")
    return content[LENGTH_BYTES:end], content[end:]


def parts(content: bytes) -> tuple[dict[str, Any], dict[str, Any], bytes]:
    """Return the metadata, the header without it, and the tensors' bytes of a valid file."""
    raw, data = split(content)
    header = json.loads(raw)
    return json.loads(header.pop(METADATA)["chargen"]) | {"sha256": NO_CHECKSUM}, header, data


def join(header: bytes | str, data: bytes, length: int | None = None) -> bytes:
    """Join the parts of a file; if the header contains NO_CHECKSUM, insert the right checksum."""
    raw = header.encode("utf-8", "surrogatepass") if isinstance(header, str) else header
    content = (len(raw) if length is None else length).to_bytes(LENGTH_BYTES, "little") + raw + data
    return with_checksum(content) if NO_CHECKSUM.encode() in raw else content


def build(metadata: Mapping[str, Any] | str, header: Mapping[str, Any], data: bytes) -> bytes:
    """Build a file with the right checksum; metadata as values, or as JSON text."""
    text = metadata if isinstance(metadata, str) else json.dumps(metadata)
    return join(json.dumps({METADATA: {"chargen": text}, **header}), data)

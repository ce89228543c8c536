"""Read and write model files: one safetensors file with all that generation or classification needs, and no code."""

import dataclasses
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy.typing as npt

from chargen.corpus.vocabulary import BOUNDARY, Vocabulary
from chargen.errors import ConfigError, ModelFileError
from chargen.files import write_atomically
from chargen.memory.lines import KnownLines
from chargen.memory.ngrams import NgramMemory
from chargen.network.average import AnyNetwork, NetworkAverage
from chargen.network.cells import Floats
from chargen.network.description import (
    FORMAT_OF_SEVERAL,
    FORMAT_VERSION,
    FORMAT_WITH_LINES,
    METADATA_DEPTH,
    METADATA_MARKS,
    expect,
    parse_description,
)
from chargen.network.network import Network, weight_shapes
from chargen.network.strict_json import parse_json
from chargen.network.tensor_file import NO_CHECKSUM, TensorFile, open_tensors, with_checksum
from chargen.settings.schema import NetworkConfig

LARGEST_WEIGHT = 1e9  # beyond all trained weights; sums of products of a few do not overflow float32
LONGEST_REASON = 200  # characters
METADATA_KEY = "chargen"
MEMORY = "memory."  # before the names of the memory's tensors
MEMORY_DTYPES = {"tokens": ("U8", "U16", "U32"), "children": ("U8", "U16", "U32"), "kept": ("F16",)}
LINES, LINES_DTYPE = f"{MEMORY}lines", "U32"
LARGEST_MEMORY = 1 << 27  # n-grams, and lines
MODEL_SUFFIX, KERAS_SUFFIX = ".safetensors", ".keras"

LEAST_DRIFT = 0.1  # bits a character lost by carrying the state, from which on users are warned

Task = Literal["generate", "classify"]


@dataclass(frozen=True, kw_only=True)
class TextModel:
    """A network, or the average of several, with its vocabulary and the facts of its training that generation needs.

    primer: ids that precede a prompt shorter than the context: the boundary token for models of lines, else a piece of the
    corpus. ends: whether the model may end a text by itself. carried: whether the state is carried from token to token; if not,
    each token is predicted from the context_length tokens before it and a zero state. memory: the n-grams whose probabilities
    are mixed with the network's, or None. provenance: name and SHA-256 of the corpus, epochs, bits a character; for information
    only; of several networks, "members" in it lists those of each.
    """

    network: AnyNetwork
    vocabulary: Vocabulary
    reading: str
    context_length: int
    primer: tuple[int, ...]
    ends: bool
    carried: bool = True
    memory: NgramMemory | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)

    @property
    def drift(self) -> float:
        """Bits a character that held-out text costs more with the state carried than from a zero state; 0 if unknown."""
        drift = self.provenance.get("drift")
        return drift if self.carried and isinstance(drift, float) and drift > LEAST_DRIFT else 0.0

    @property
    def has_memory(self) -> bool:
        """Whether an n-gram memory is mixed with the network."""
        return self.memory is not None

    @property
    def one_network(self) -> Network:
        """The network of a model that has one. Raises ConfigError for several."""
        network, *others = self.network.members
        if others:
            raise ConfigError(f"this works on one network, the model has {1 + len(others)}", hint="choose one with --member")
        return network

    def member(self, number: int | None) -> "TextModel":
        """Return the model with one of its networks, counted from 1; None keeps all. Raises ConfigError if there is none."""
        if number is None:
            return self
        members = self.network.members
        if not 1 <= number <= len(members):
            raise ConfigError(f"--member is {number}, the networks of this model are numbered 1 to {len(members)}")
        known = self.provenance.get("members")
        own = known[number - 1] if isinstance(known, list) and len(known) == len(members) else {}
        return dataclasses.replace(self, network=members[number - 1], provenance=own if len(members) > 1 else self.provenance)

    @property
    def start_id(self) -> int:
        """The id that a document begins with: the boundary, or the label that a labelled model writes."""
        return self.primer[0] if self.vocabulary.labels else BOUNDARY

    def with_carry(self, carry: bool | None) -> "TextModel":
        """Return the model with its state carried or not; None keeps the way it was trained."""
        return self if carry is None else dataclasses.replace(self, carried=carry)

    def with_memory(self, weight: float | None) -> "TextModel":
        """Return the model with another weight of its n-gram memory, 0 for none; None keeps the weight of its training.

        Raises ConfigError for a weight above 0 if the model has no memory.
        """
        if weight is None:
            return self
        if weight and self.memory is None:
            raise ConfigError(
                f"--memory {weight:g} needs a model with an n-gram memory, and this one has none",
                hint="leave it out, or train with --memory",
            )
        return dataclasses.replace(self, memory=self.memory.weighted(weight) if self.memory and weight else None)

    def with_label(self, label: str) -> "TextModel":
        """Return the model set to write documents of a label. Raises UnknownTokenError for an unknown label."""
        start_id = self.vocabulary.label_id(label)
        return dataclasses.replace(self, primer=tuple(start_id if one == BOUNDARY else one for one in self.primer))


def save_model(path: Path, model: TextModel) -> None:
    """Write a complete model file; equal models give equal bytes. Raises OSError."""
    metadata = {
        "reading": model.reading,
        "context_length": model.context_length,
        "primer": list(model.primer),
        "ends": model.ends,
        "carried": model.carried,
        "provenance": dict(model.provenance),
    }
    if model.memory:
        known = {"lines": list(model.memory.lines.factors)} if model.memory.lines else {}
        metadata["memory"] = {"weight": model.memory.weight, **known}
    write_model_file(path, model.network, model.vocabulary, metadata, model.memory)


def load_model(path: Path) -> TextModel:
    """Read the model file of a text model, or a `.keras` file that chargen exported.

    Raises ModelFileError as `read_model_file` does.
    """
    return TextModel(**read_model_file(path, "generate"))


def write_model_file(
    path: Path,
    network: AnyNetwork,
    vocabulary: Vocabulary,
    metadata: Mapping[str, Any],
    memory: NgramMemory | None = None,
) -> None:
    """Write the weights of a network or of several, the metadata of their task and their memory. Raises OSError."""
    from safetensors.numpy import save

    configs = [dataclasses.asdict(one.config) for one in network.members]
    has_lines = memory is not None and memory.lines is not None
    several = {"format_version": FORMAT_WITH_LINES if has_lines else FORMAT_OF_SEVERAL, "networks": configs}
    one = {"format_version": FORMAT_VERSION, "network": configs[0]}
    described = {
        "sha256": NO_CHECKSUM,  # first, so that it is found before a vocabulary text that looks like it
        **(one if len(configs) == 1 and not has_lines else several),
        "vocabulary": vocabulary.to_mapping(),
    }
    tensors: dict[str, npt.NDArray[Any]] = {
        prefix + name: weight
        for prefix, member in zip(member_prefixes(len(configs)), network.members, strict=True)
        for name, weight in member.weights.items()
    }
    tensors |= {f"{MEMORY}{name}": array for name, array in memory.arrays.items()} if memory else {}
    content = save(tensors, metadata={METADATA_KEY: json.dumps({**described, **metadata}, ensure_ascii=True)})
    write_atomically(path, with_checksum(content))


def read_model_file(path: Path, task: Task) -> dict[str, Any]:
    """Read the fields of a model of the given task, also from a `.keras` file that chargen exported.

    Raises ModelFileError, with the path, for a file that is damaged, has another format, version or task, or whose tensors are
    not exactly the finite float32 arrays of its network. The SHA-256 of the whole file, or of a Keras archive's weights, is
    checked.
    """
    try:
        fields, weights = (_read_keras_file if path.suffix == KERAS_SUFFIX else _read_tensor_file)(path, task)
    except _UNREADABLE as error:
        raise _unreadable(path, error) from error
    return {name: value for name, value in fields.items() if name != "networks"} | {"network": _network(fields, weights)}


def _network(fields: Mapping[str, Any], weights: Mapping[str, Floats]) -> AnyNetwork:
    """Return the network of a file, or the average of its networks."""
    members = [
        Network(config, len(fields["vocabulary"]), {name: weights[prefix + name] for name in names})
        for prefix, config, names in _members(fields)
    ]
    return members[0] if len(members) == 1 else NetworkAverage(members)


def _members(fields: Mapping[str, Any]) -> Iterator[tuple[str, NetworkConfig, dict[str, tuple[int, ...]]]]:
    """Yield the prefix of the weights, the configuration and the shape of each weight of each network."""
    labels, configs = fields.get("labels"), fields["networks"]
    outputs = num_class_outputs(len(labels)) if labels else None
    for prefix, config in zip(member_prefixes(len(configs)), configs, strict=True):
        yield prefix, config, weight_shapes(config, len(fields["vocabulary"]), num_outputs=outputs)


def member_prefixes(count: int) -> list[str]:
    """Return what precedes the names of each network's weights; nothing if there is one network."""
    return [""] if count == 1 else [f"network.{number}." for number in range(count)]


def _read_tensor_file(path: Path, task: Task) -> tuple[dict[str, Any], dict[str, Floats]]:
    """Return the fields of a model file, with its configuration as the network, and the weights."""
    with open_tensors(path) as file:
        fields = _parse_metadata(file.metadata)
        described: dict[str, Any] | None = fields.get("memory")
        tensors = _read_tensors(file, _shapes(path, fields, task), memory=described)
        _check_checksum(file, fields.pop("sha256"), tensors)
        if described:
            fields["memory"] = _memory(tensors, fields["vocabulary"], described)
    return fields, tensors


def _read_keras_file(path: Path, task: Task) -> tuple[dict[str, Any], dict[str, Floats]]:
    """Return the same of a `.keras` file, which has one network and no n-gram memory."""
    from chargen.network.keras_file import read_description, read_weights

    described = read_description(path)
    fields = parse_description(described)
    if len(fields["networks"]) > 1:
        raise ValueError("it describes several networks")
    offsets = expect(parse_json(described, depth=METADATA_DEPTH, marks=METADATA_MARKS)["offsets"], dict)
    weights = read_weights(path, _shapes(path, fields, task), offsets=offsets, checksum=fields.pop("sha256"))
    _check_numbers(weights)
    return {name: value for name, value in fields.items() if name != "memory"}, weights


def _shapes(path: Path, fields: dict[str, Any], task: Task) -> dict[str, tuple[int, ...]]:
    """Return the shape of each weight, and take the task out of the fields. Raises ModelFileError for another task."""
    if (found := fields.pop("task")) != task:
        raise _wrong_task(path, found)
    return {prefix + name: shape for prefix, _, shapes in _members(fields) for name, shape in shapes.items()}


def num_class_outputs(num_labels: int) -> int:
    """Return the number of a classifier's outputs: one for two labels (the second label's), else one per label."""
    return 1 if num_labels == 2 else num_labels


def _wrong_task(path: Path, task: Task) -> ModelFileError:
    if task == "classify":
        return ModelFileError(
            f"{path} holds a classifier, which writes no text",
            hint="chargen classify uses it, and with --file TABLE measures its accuracy; give another run",
        )
    return ModelFileError(f"{path} holds a network that writes text, expected a classifier", hint="give another run with --run")


def read_metadata(path: Path) -> dict[str, Any]:
    """Read the metadata of a model file, including its task, without the weights. Raises ModelFileError."""
    try:
        if path.suffix == KERAS_SUFFIX:
            from chargen.network.keras_file import read_description

            return parse_description(read_description(path))
        with open_tensors(path) as file:
            return _parse_metadata(file.metadata)
    except _UNREADABLE as error:
        raise _unreadable(path, error) from error


_UNREADABLE = (OSError, ValueError, KeyError, TypeError, ConfigError, MemoryError)


def _unreadable(path: Path, error: Exception) -> ModelFileError:
    return ModelFileError(f"{path} is not a model file that chargen can read: {_reason(error)}")


def _parse_metadata(metadata: Mapping[str, str]) -> dict[str, Any]:
    if METADATA_KEY not in metadata:
        raise ValueError("it is not a chargen model")
    return parse_description(metadata[METADATA_KEY])


def _read_tensors(
    file: TensorFile, shapes: Mapping[str, tuple[int, ...]], *, memory: Mapping[str, Any] | None
) -> dict[str, npt.NDArray[Any]]:
    """Read exactly the named tensors and those of a memory; check all shapes and dtypes before reading any."""
    of_memory = {f"{MEMORY}{name}": dtypes for name, dtypes in MEMORY_DTYPES.items()} if memory else {}
    of_lines = [LINES] if memory and memory["lines"] else []
    names = [*shapes, *of_memory, *of_lines]
    if file.tensors.keys() != set(names):
        odd = sorted(file.tensors.keys() ^ set(names))
        raise ValueError(f"its tensors are not those of its network: {', '.join(odd[:3])}")
    for name, shape in shapes.items():
        stored = file.tensors[name]
        if stored.shape != shape or stored.dtype != "F32":
            raise ValueError(f"{name} is {stored.dtype} {stored.shape}, expected F32 {shape}")
    for name, dtypes in of_memory.items():
        stored, tokens = file.tensors[name], file.tensors[f"{MEMORY}tokens"]
        if stored.dtype not in dtypes or len(stored.shape) != 1 or stored.shape != tokens.shape:
            raise ValueError(
                f"{name} is {stored.dtype} {stored.shape}, expected {dtypes[0]} and one size for all of the memory"
            )
        if not 0 < stored.shape[0] <= LARGEST_MEMORY:
            raise ValueError(f"its memory has {stored.shape[0]:,} n-grams, expected 1 to {LARGEST_MEMORY:,}")
    for name in of_lines:
        stored = file.tensors[name]
        if stored.dtype != LINES_DTYPE or len(stored.shape) != 1 or not 0 < stored.shape[0] <= LARGEST_MEMORY:
            raise ValueError(f"{name} is {stored.dtype} {stored.shape}, expected {LINES_DTYPE}, 1 to {LARGEST_MEMORY:,} lines")
    tensors = file.read()
    _check_numbers({name: tensors[name] for name in shapes})
    return {name: tensors[name] for name in names}


def _memory(tensors: dict[str, npt.NDArray[Any]], vocabulary: Vocabulary, described: Mapping[str, Any]) -> NgramMemory:
    """Take the n-gram memory of a model file out of its tensors. Raises ValueError if it is damaged."""
    grams = {name: tensors.pop(f"{MEMORY}{name}") for name in MEMORY_DTYPES}
    lines = KnownLines(tensors.pop(LINES), described["lines"]) if described["lines"] else None
    first_label = len(vocabulary) - len(vocabulary.labels)
    return NgramMemory(grams, vocab_size=len(vocabulary), first_label=first_label, weight=described["weight"], lines=lines)


def _check_numbers(weights: Mapping[str, Floats]) -> None:
    """Raise ValueError for weights that are not finite, or larger than any network learns."""
    for name, weight in weights.items():
        lowest = 0 if name.endswith("variance") else -LARGEST_WEIGHT
        if not (weight.min() >= lowest and weight.max() <= LARGEST_WEIGHT):
            raise ValueError(f"{name} holds numbers that are not finite, or not within {lowest:g} and {LARGEST_WEIGHT:g}")


def _check_checksum(file: TensorFile, checksum: str | None, tensors: Mapping[str, npt.NDArray[Any]]) -> None:
    """Raise ValueError unless the file has exactly the bytes that were written."""
    if checksum is not None and not (re.fullmatch("[0-9a-f]{64}", checksum) and file.has_checksum(checksum, tensors)):
        raise ValueError("its SHA-256 is wrong, so the file is damaged")


def _reason(error: Exception) -> str:
    """Return the error in one short line that is safe for a terminal, whatever the file contains."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, MemoryError):
        return "it needs more memory than is available"
    if isinstance(error, ConfigError):
        reason = error.message
    else:
        reason = f"its metadata lacks {error.args[0]!r}" if isinstance(error, KeyError) else str(error)
    printable = "".join(one if one.isprintable() else "?" for one in reason[:LONGEST_REASON])
    return printable or type(error).__name__

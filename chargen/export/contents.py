"""Collect the contents of exported files: a description in plain values, and the weights as bytes."""

import dataclasses
import math
from collections.abc import Iterator
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from chargen.errors import ConfigError
from chargen.memory.pruning import prune
from chargen.network.cells import Floats
from chargen.network.model_file import TextModel, member_prefixes

Precision = Literal["float32", "float16"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)

LONGEST_NAME = 60  # characters of a corpus's name
LARGEST_MEMORY = 1_500_000  # bytes of an n-gram memory; a file in ASCII holds a third more
STORED = {"float32": "<f4", "float16": "<f2"}


def describe(model: TextModel, precision: Precision) -> dict[str, Any]:
    """Return plain values that describe a model completely, except for its weights, plus its name and quality.

    `tensors`: the names and shapes of the weights, in the order in which `packed` joins them. `members`, of several networks:
    the configuration of each, and what precedes the names of its weights; `network` is then the first one's.
    """
    first, *_ = networks = model.network.members
    members = [
        {"network": dataclasses.asdict(one.config), "folded": one.folded, "prefix": prefix}
        for prefix, one in zip(member_prefixes(len(networks)), networks, strict=True)
    ]
    corpus, bits = (model.provenance.get(name) for name in ("corpus", "bits_per_character"))
    return {
        "name": corpus[:LONGEST_NAME] if isinstance(corpus, str) else "",
        "bits_per_character": bits if isinstance(bits, float) and math.isfinite(bits) else None,
        "precision": precision,
        "network": dataclasses.asdict(first.config),
        "folded": first.folded,
        "vocabulary": model.vocabulary.to_mapping(),
        "vocab_size": len(model.vocabulary),
        "reading": model.reading,
        "context_length": model.context_length,
        "primer": list(model.primer),
        "ends": model.ends,
        "carried": model.carried,
        "tensors": [[name, list(weight.shape)] for name, weight in _weights(model)],
        **({"members": members} if len(members) > 1 else {}),
    }


def with_small_memory(model: TextModel) -> TextModel:
    """Return a model whose n-gram memory, if it has one, is small enough for a file that is sent to others."""
    return dataclasses.replace(model, memory=prune(model.memory, LARGEST_MEMORY) if model.memory else None)


def describe_memory(model: TextModel) -> dict[str, Any]:
    """Return plain values that describe the n-gram memory of a model, in a dictionary; an empty one without a memory.

    tokens, children: the dtypes of the arrays of these names, which `packed_memory` joins. lines, log_factors: how many lines
    it knows, and the logarithms of their factors, if it knows any.
    """
    memory = model.memory
    if memory is None:
        return {}
    facts = {name: getattr(memory, name) for name in ("weight", "order", "first_label")}
    dtypes = {name: array.dtype.name for name, array in memory.grams.items() if name != "kept"}
    known = {"lines": len(memory.lines.keys), "log_factors": memory.lines.logarithms.tolist()} if memory.lines else {}
    return {"memory": facts | dtypes | {"size": len(memory.tokens)} | known}


def packed_memory(model: TextModel) -> bytes:
    """Return the arrays tokens, children, kept and, if there are any, lines of a model's n-gram memory, little-endian."""
    arrays = model.memory.arrays.values() if model.memory else ()
    return b"".join(array.astype(array.dtype.newbyteorder("<")).tobytes() for array in arrays)


def _weights(model: TextModel) -> Iterator[tuple[str, Floats]]:
    """Yield the weights of all networks, each by its name in a model file."""
    networks = model.network.members
    for prefix, network in zip(member_prefixes(len(networks)), networks, strict=True):
        yield from ((prefix + name, weight) for name, weight in network.weights.items())


def packed(model: TextModel, precision: Precision) -> bytes:
    """Return all weights concatenated, little-endian. Raises the errors of `stored`."""
    return b"".join(stored(name, weight, precision).tobytes() for name, weight in _weights(model))


def stored(name: str, weight: Floats, precision: Precision) -> npt.NDArray[np.floating]:
    """Return a weight in a precision, little-endian. Raises ConfigError for a value too large for it."""
    largest = float(np.abs(weight).max(initial=0))
    if largest > float(np.finfo(precision).max):
        raise ConfigError(f"{name} holds {largest:g}, too large for {precision}", hint="give --precision float32")
    return weight.astype(STORED[precision])

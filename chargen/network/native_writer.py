"""Draw and read tokens one after another in C, without returning to Python after each."""

import ctypes
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from chargen.memory.cache import NativeCache
from chargen.memory.ngrams import Contexts, NgramMemory
from chargen.native.library import Kernels
from chargen.network.cells import Floats
from chargen.network.dense import Head
from chargen.network.native_layer import NativeLayer, num_threads, threads_together

Doubles = npt.NDArray[np.float64]


class Net(ctypes.Structure):
    """The struct `Net` of writing.c."""

    _fields_: ClassVar = [
        *((n, ctypes.c_long) for n in ("num_layers", "num_dense")),
        *((n, ctypes.c_void_p) for n in ("layers", "dense", "outputs")),
    ]


class Writer(ctypes.Structure):
    """The struct `Writer` of writing.c."""

    _fields_: ClassVar = [
        *((n, ctypes.c_long) for n in ("rows", "threads", "num_nets", "V", "num_temperatures", "stop", "together")),
        *((n, ctypes.c_void_p) for n in ("nets", "logits", "mask", "temperatures", "memory", "contexts", "cache", "stopped")),
    ]


class NativeNetwork:
    """The layers of a network for a `NativeWriter`, and its Dense layers with room for their outputs."""

    def __init__(self, kernels: Kernels, layers: Sequence[NativeLayer], head: Head) -> None:
        """Take the layers with their current states, and the Dense layers."""
        self.library, self.layers = kernels.library, layers
        for layer, before in zip(layers[1:], layers, strict=False):
            layer.layer.x = before.layer.h
        rows = layers[0].num_rows
        dense = head.packed(kernels)
        self.outputs = [np.empty((rows, one.struct.H), np.float32) for one in dense]
        tables = [
            _pointers([ctypes.addressof(one.layer) for one in layers]),
            _pointers([ctypes.addressof(one.struct) for one in dense]),
            _pointers([one.ctypes.data for one in self.outputs]),
        ]
        self.net = Net(len(layers), len(dense), *[ctypes.addressof(one) for one in tables])
        self.work = sum(layer.weights for layer in layers)  # multiplications of a row and step, about
        self._alive = (dense, tables)  # keeps the memory of the struct alive


class NativeWriter:
    """Networks of B rows that continue from the current states and logits, (B, V).

    The cores share the rows. Few rows read all weights for each token, which takes longer than computing with them; there, the
    cores share the units of each layer, so that each reads its own part of the weights.
    The probabilities of several networks are averaged. mask: added to the logits, (V,): minus infinity for tokens that must not
    be drawn. temperatures: used in turn, one per token. stop: the id after which a row draws nothing else. stopped: the rows
    that have drawn it, (B,), changed in place.
    memory: the n-gram memory to mix with the network, and the contexts of what was read, (B, width), which are changed.
    cache: the cache of the rows to mix with both, which is changed.
    """

    def __init__(
        self,
        networks: Sequence[NativeNetwork],
        *,
        logits: Floats,
        mask: Floats,
        temperatures: Sequence[float],
        stop: int | None,
        stopped: npt.NDArray[np.bool_],
        memory: tuple[NgramMemory, Contexts] | None = None,
        cache: NativeCache | None = None,
    ) -> None:
        self._cache = cache
        self._library, self._work = networks[0].library, sum(one.work for one in networks)
        last = networks[0].outputs[-1] if len(networks) == 1 else np.empty_like(logits)
        last[:] = logits
        self._turns, nets = np.array(temperatures, np.float64), _pointers([ctypes.addressof(one.net) for one in networks])
        together = threads_together(len(logits), self._work)
        sizes = (len(logits), 1, len(networks), len(mask), len(temperatures), -1 if stop is None else stop, together)
        addresses = (ctypes.addressof(nets), *(array.ctypes.data for array in (last, mask, self._turns)))
        remembered = [ctypes.addressof(memory[0].struct), memory[1].ctypes.data] if memory else [None, None]
        counted = ctypes.addressof(cache.struct) if cache else None
        self._writer = Writer(*sizes, *addresses, *remembered, counted, stopped.ctypes.data)
        self._alive = (networks, nets, last, mask, memory, stopped)  # keeps the memory of the struct alive

    def write(self, points: Doubles) -> npt.NDArray[np.int64]:
        """Draw a token for each uniform number in [0, 1), (S, B), until all rows have stopped; return their ids.

        Raises MemoryError.
        """
        if self._cache:
            self._cache.reserve(len(points))
        ids = np.empty(points.shape, np.int64)
        self._writer.threads = num_threads(points.size * self._work)
        arrays = [ctypes.c_void_p(one.ctypes.data) for one in (points, ids)]
        if self._library.write_tokens(ctypes.byref(self._writer), ctypes.c_long(len(points)), *arrays):
            raise MemoryError("there is not enough memory to write")
        ended = (ids == self._writer.stop).all(axis=1)
        count = int(ended.argmax()) + 1 if ended.any() else len(ids)
        self._turns[:] = np.roll(self._turns, -count)
        return ids[:count]


def _pointers(addresses: Sequence[int]) -> Any:
    return (ctypes.c_void_p * len(addresses))(*addresses)

"""Call the kernels from JAX, as custom calls of its XLA. Imported only if Keras runs on JAX."""

from collections.abc import Sequence
from typing import Any

import jax
from jax import numpy as jnp

from chargen.native.library import Kernels

Tensor = Any  # of JAX


def register(kernels: Kernels, forward: str, backward: str) -> None:
    """Make the handlers known to XLA by these names. Raises whatever JAX raises."""
    for name, handler in ((forward, kernels.library.xla_forward), (backward, kernels.library.xla_backward)):
        jax.ffi.register_ffi_target(name, jax.ffi.pycapsule(handler), platform="cpu")


def custom_call(target: str, arguments: Sequence[Tensor], shapes: Sequence[tuple[int, ...]]) -> Sequence[Tensor]:
    """Return the float32 results, of these shapes, of a handler called on some arrays."""
    results = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]
    found: Sequence[Tensor] = jax.ffi.ffi_call(target, results)(*arguments)
    return found

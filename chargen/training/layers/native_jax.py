"""Call the kernels from JAX, as custom calls of its XLA. Imported only if Keras runs on JAX."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
from jax import numpy as jnp

from chargen.native.library import Kernels

Tensor = Any  # of JAX


def register(kernels: Kernels, names: Mapping[str, str]) -> None:
    """Make handlers of the library known to XLA by names. Raises whatever JAX raises."""
    for handler, name in names.items():
        jax.ffi.register_ffi_target(name, jax.ffi.pycapsule(getattr(kernels.library, handler)), platform="cpu")


def custom_call(
    target: str, arguments: Sequence[Tensor], shapes: Sequence[tuple[int, ...]], *, replaced: int | None = None
) -> Sequence[Tensor]:
    """Return the float32 results, of these shapes, of a handler called on some arrays.

    They may take the memory of the arguments from number `replaced` on, unless these are used elsewhere, too.
    """
    results = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]
    aliases = None if replaced is None else {replaced + number: number for number in range(len(shapes))}
    found: Sequence[Tensor] = jax.ffi.ffi_call(target, results, input_output_aliases=aliases)(*arguments)
    return found

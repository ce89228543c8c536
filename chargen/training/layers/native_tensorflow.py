"""Call the kernels from TensorFlow, as custom calls of its XLA. Imported only if Keras runs on TensorFlow.

No header and no compiler of TensorFlow's is needed: a `stablehlo.custom_call` within an `XlaCallModule` op calls a handler that
was registered through XLA's C interface. Neither is a promise of TensorFlow's, so `register` tries a call.
"""

import ctypes
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf

from chargen.native.layer import CELLS
from chargen.native.library import Kernels, NoKernelsError

MODULE_VERSION = 9  # of XlaCallModule, since TensorFlow 2.16
TYPES = {tf.float32: "f32", tf.int32: "i32"}

Tensor = Any  # of TensorFlow


def register(kernels: Kernels, names: Mapping[str, str]) -> None:
    """Make handlers of the library known to XLA by names and try one. Raises NoKernelsError or whatever TensorFlow raises."""
    framework = ctypes.CDLL(str(Path(tf.__file__).parent / "libtensorflow_framework.so.2"))
    framework.XLA_FFI_GetApi.restype = ctypes.c_void_p
    api = ctypes.c_void_p(framework.XLA_FFI_GetApi())
    for handler, name in names.items():
        refused = kernels.library.register_with_xla(api, name.encode(), getattr(kernels.library, handler))
        if refused:
            raise NoKernelsError(f"TensorFlow does not take them: {refused.decode(errors='replace')}")
    tf.autograph.experimental.do_not_convert(_try)(names["xla_forward"])


def _try(forward: str) -> None:
    """Run one step of a SimpleRNN of one unit. Raises NoKernelsError if the result is wrong."""
    with tf.init_scope():  # outside of the function that may be traced now
        number = tf.constant(CELLS.index("relu"))
        x, one, empty = tf.ones((1, 1, 1)), tf.ones((1, 1)), tf.zeros((0,))
        arguments = [number, x, one, tf.ones((1,)), one, empty, one, empty]
        run = tf.function(lambda: custom_call(forward, arguments, [(1, 1, 1), (0,), (4096,)])[0], jit_compile=True)
        result = run().numpy()
    if result.item() != 3.0:
        raise NoKernelsError("TensorFlow calls them wrongly")


def custom_call(target: str, arguments: Sequence[Tensor], shapes: Sequence[tuple[int, ...]]) -> Sequence[Tensor]:
    """Return the float32 results, of these shapes, of a handler called on some tensors."""
    from tensorflow.compiler.tf2xla.ops import gen_xla_ops

    return gen_xla_ops.xla_call_module(
        arguments,
        version=MODULE_VERSION,
        module=_module(target, arguments, shapes),
        Sout=[tf.TensorShape(shape) for shape in shapes],
        Tout=[tf.float32] * len(shapes),
        platforms=["CPU"],
    )


def _module(target: str, arguments: Sequence[Tensor], shapes: Sequence[tuple[int, ...]]) -> str:
    """Return the text of a StableHLO module that consists of the call."""
    names = [f"%arg{number}" for number in range(len(arguments))]
    taken = [_type(one.shape, one.dtype) for one in arguments]
    given = ", ".join(_type(shape, tf.float32) for shape in shapes)
    layouts = ", ".join(
        f"{name} = [{', '.join(map(_row_major, found))}]"
        for name, found in (("operand_layouts", [one.shape for one in arguments]), ("result_layouts", shapes))
    )
    parameters = ", ".join(f"{name}: {kind}" for name, kind in zip(names, taken, strict=True))
    results = ", ".join(f"%0#{number}" for number in range(len(shapes)))
    return f"""module {{
  func.func public @main({parameters}) -> ({given}) {{
    %0:{len(shapes)} = stablehlo.custom_call @{target}({", ".join(names)})
      {{api_version = 4 : i32, backend_config = {{}}, {layouts}}} : ({", ".join(taken)}) -> ({given})
    return {results} : {given}
  }}
}}"""


def _type(shape: Sequence[int], dtype: Any) -> str:
    return "tensor<" + "".join(f"{size}x" for size in shape) + TYPES[dtype] + ">"


def _row_major(shape: Sequence[int]) -> str:
    order = ", ".join(str(axis) for axis in reversed(range(len(shape))))
    return f"dense<[{order}]> : tensor<{len(shape)}xindex>"

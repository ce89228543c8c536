"""Call the kernels from TensorFlow, as custom calls of its XLA. Imported only if Keras runs on TensorFlow.

No header and no compiler of TensorFlow's is needed: a `stablehlo.custom_call` within an `XlaCallModule` op calls a handler that
was registered through XLA's C interface. Neither is a promise of TensorFlow's, so `register` tries a call.
"""

import ctypes
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from chargen.native.layer import CELLS
from chargen.native.library import Kernels, NoKernelsError

if TYPE_CHECKING:
    from chargen.training.layers.native import Shape

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
    _try(names["xla_forward"])


def _try(forward: str) -> None:
    """Run one step of a SimpleRNN of one unit, with an open number of rows. Raises NoKernelsError if the result is wrong."""

    def run(x: Tensor) -> Tensor:
        settings, one, empty = tf.constant([CELLS.index("relu"), 1, 1]), tf.ones((1, 1)), tf.zeros((0,))
        arguments = [settings, x, one, tf.ones((1,)), one, empty, one, empty, empty]
        return custom_call(forward, arguments, [(1, None, 1), (0,), (None, 4096)])[0]

    with tf.init_scope():  # outside of the function that may be traced now
        compiled = tf.function(run, jit_compile=True, autograph=False, input_signature=[tf.TensorSpec((1, None, 1))])
        result = compiled(tf.ones((1, 1, 1))).numpy()
    if result.item() != 3.0:
        raise NoKernelsError("TensorFlow calls them wrongly")


def custom_call(
    target: str, arguments: Sequence[Tensor], shapes: "Sequence[Shape]", *, replaced: int | None = None
) -> Sequence[Tensor]:
    """Return the float32 results, of these shapes, of a handler called on some tensors.

    They may take the memory of the arguments from number `replaced` on, unless these are used elsewhere, too. Where the
    number of rows is not known yet, None stands for it in the shapes of the arguments and of the results.
    """
    from tensorflow.compiler.tf2xla.ops import gen_xla_ops

    return gen_xla_ops.xla_call_module(
        arguments,
        version=MODULE_VERSION,
        module=_module(target, arguments, shapes, replaced),
        Sout=[tf.TensorShape(shape) for shape in shapes],
        Tout=[tf.float32] * len(shapes),
        platforms=["CPU"],
    )


def _module(target: str, arguments: Sequence[Tensor], shapes: "Sequence[Shape]", replaced: int | None) -> str:
    """Return the text of a StableHLO module that consists of the call.

    XLA replaces unknown sizes by those of the arguments, and takes the results' from operands that follow the arguments.
    """
    names = [f"%arg{number}" for number in range(len(arguments))]
    taken = [_type(one.shape, TYPES[one.dtype]) for one in arguments]
    given = ", ".join(_type(shape, "f32") for shape in shapes)
    lines, operands = _sizes(names, taken, arguments, shapes) if any(None in shape for shape in shapes) else ([], {})
    layouts = ", ".join(
        f"{name} = [{', '.join(map(_row_major, ranks))}]"
        for name, ranks in (
            ("operand_layouts", [len(one.shape) for one in arguments] + [1] * len(operands)),
            ("result_layouts", [len(shape) for shape in shapes]),
        )
    )
    numbers = range(len(arguments), len(arguments) + len(operands))
    if operands:
        layouts += f", indices_of_shape_operands = dense<[{', '.join(map(str, numbers))}]> : tensor<{len(operands)}xi64>"
    if replaced is not None:
        aliases = [
            f"#stablehlo.output_operand_alias<output_tuple_indices = [{number}], operand_index = {replaced + number}, "
            "operand_tuple_indices = []>"
            for number in range(len(shapes))
        ]
        layouts += f", output_operand_aliases = [{', '.join(aliases)}]"
    parameters = ", ".join(f"{name}: {kind}" for name, kind in zip(names, taken, strict=True))
    results = ", ".join(f"%results#{number}" for number in range(len(shapes)))
    before = "\n    ".join(lines)
    return f"""module attributes {{jax.uses_shape_polymorphism = true}} {{
  func.func public @main({parameters}) -> ({given}) {{
    {before}
    %results:{len(shapes)} = stablehlo.custom_call @{target}({", ".join([*names, *operands])})
      {{api_version = 4 : i32, backend_config = {{}}, {layouts}}} : ({", ".join([*taken, *operands.values()])}) -> ({given})
    return {results} : {given}
  }}
}}"""


def _sizes(
    names: Sequence[str], types: Sequence[str], arguments: Sequence[Tensor], shapes: "Sequence[Shape]"
) -> tuple[list[str], dict[str, str]]:
    """Return the lines that compute the results' shapes from the number of rows, and the values' types by their names."""
    number, axis = next((n, list(one.shape).index(None)) for n, one in enumerate(arguments) if None in list(one.shape))
    lines = [
        f"%rows = stablehlo.get_dimension_size {names[number]}, dim = {axis} : ({types[number]}) -> tensor<i32>",
        "%size_of_rows = stablehlo.reshape %rows : (tensor<i32>) -> tensor<1xi32>",
    ]
    for size in sorted({size for shape in shapes for size in shape if size is not None}):
        lines.append(f"%size_{size} = stablehlo.constant dense<{size}> : tensor<1xi32>")
    operands = {}
    for result, shape in enumerate(shapes):
        parts = ["%size_of_rows" if size is None else f"%size_{size}" for size in shape]
        kinds = ", ".join(["tensor<1xi32>"] * len(parts))
        operands[f"%shape_{result}"] = kind = f"tensor<{len(parts)}xi32>"
        lines.append(f"%shape_{result} = stablehlo.concatenate {', '.join(parts)}, dim = 0 : ({kinds}) -> {kind}")
    return lines, operands


def _type(shape: Sequence[int | None], numbers: str) -> str:
    return "tensor<" + "".join(f"{'?' if size is None else size}x" for size in shape) + numbers + ">"


def _row_major(rank: int) -> str:
    order = ", ".join(str(axis) for axis in reversed(range(rank)))
    return f"dense<[{order}]> : tensor<{rank}xindex>"

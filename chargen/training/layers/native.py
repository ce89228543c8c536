"""Run recurrent layers, an output layer with its loss, and optimizers on the kernels, called by XLA or by PyTorch.

Shapes: T steps, B rows, D inputs, H units, G the columns of a kernel (gates * H), V tokens; time comes first.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib import import_module
from typing import Any, NamedTuple, Protocol

import keras
from keras import ops

from chargen.native.layer import CELLS, CellName, kept_floats
from chargen.native.library import Kernels, NoKernelsError, Products, load_kernels
from chargen.training.layers.loops import Tensor, custom_gradient, upstream_gradients


class Weights(NamedTuple):
    """Weights of a layer. For ids the kernel is a table, (V, G), with the bias in it.

    kernel: (D, G). bias: (G,), None for ids. recurrent_kernel: (H, G). recurrent_bias: (G,) of a GRU whose reset gate comes
    after the product.
    """

    kernel: Tensor
    bias: Tensor | None
    recurrent_kernel: Tensor
    recurrent_bias: Tensor | None = None


class NativeRun(Protocol):
    """Runs layers on the kernels."""

    def __call__(
        self,
        cell: CellName,
        inputs: Tensor,
        weights: Weights,
        states: Sequence[Tensor],
        *,
        mask: Tensor | None = None,
        threads: int,
        together: int,
    ) -> tuple[Tensor, ...]:
        """Run all steps of a cell on ids, (T, B), or on rows, (T, B, D), with the states, (B, H), before them.

        mask: (1, B, H), or (gates, B, H) with one for each gate, what the recurrent kernel sees the hidden state multiplied
        with; it has no gradient. Returns the outputs, (T, B, H), and the states after them. B may be unknown (None) with
        TensorFlow and float32 products.
        """


class NativeLoss(Protocol):
    """Computes an output layer and its loss on the kernels."""

    def __call__(
        self, inputs: Tensor, kernel: Tensor, bias: Tensor, targets: Tensor, weights: Tensor, *, threads: int, training: bool
    ) -> Tensor:
        """Return the cross-entropy in nats, weighed and summed.

        inputs: (..., D). kernel: (D, V). bias: (V,). targets, weights: (...). Without `training` it has no gradients.
        """


# Takes a step of Adam or Muon: the fields of the struct `Adam` of adam.c; the number of threads, and of gates of each array of
# weights, or 0; the gradients of each shard; all weights, momentum and velocity, which it returns as they are after the step.
NativeAdam = Callable[[Tensor, Sequence[int], Sequence[Sequence[Tensor]], Sequence[Tensor]], Sequence[Tensor]]


class NativeLayers(NativeRun, Protocol):
    """All that a backend calls the kernels for."""

    @property
    def cross_entropy(self) -> NativeLoss:
        """What computes an output layer and its loss."""
        ...

    @property
    def adam(self) -> NativeAdam:
        """What takes the steps of Adam and Muon."""
        ...


Shape = tuple[int | None, ...]  # None is the number of rows where it is not known yet

# of xla.c
HANDLERS = ("xla_forward", "xla_backward", "xla_cross_entropy", "xla_adam")


def native_run(products: Products) -> NativeRun | None:
    """Return what runs layers on the kernels with the loaded backend, or None if there are no kernels."""
    outcome = _connected(products)
    return None if isinstance(outcome, NoKernelsError) else outcome


def native_loss(products: Products) -> NativeLoss | None:
    """Return what computes an output layer and its loss on the kernels, or None if there are no kernels."""
    outcome = _connected(products)
    return None if isinstance(outcome, NoKernelsError) else outcome.cross_entropy


def native_adam(products: Products = "float32") -> NativeAdam | None:
    """Return what takes the steps of Adam and Muon on the kernels, or None if there are no kernels."""
    outcome = _connected(products)
    return None if isinstance(outcome, NoKernelsError) else outcome.adam


def why_no_kernels(products: Products) -> str | None:
    """Return why the loaded backend does not use the kernels, or None if it does."""
    outcome = _connected(products)
    return str(outcome) if isinstance(outcome, NoKernelsError) else None


@cache
def _connected(products: Products) -> NativeLayers | NoKernelsError:
    """Load the kernels and make them known to the loaded backend. A process tries once."""
    backend = keras.backend.backend()
    try:
        kernels = load_kernels(products)
        if backend == "torch":
            from chargen.training.layers.native_torch import TorchLayers

            return TorchLayers(kernels)
        xla = import_module(f"chargen.training.layers.native_{backend}")
        names = {handler: f"chargen_{products}_{handler}" for handler in HANDLERS}
        xla.register(kernels, names)
        return XlaLayers(kernels, names, xla.custom_call)
    except NoKernelsError as why:
        return why
    except Exception as error:  # of a backend's version that is unlike those we know
        return NoKernelsError(f"{backend} does not take them: {' '.join(str(error).split())[:200]}")


class CustomCall(Protocol):
    """Calls a handler that XLA knows by name."""

    def __call__(
        self, target: str, arguments: Sequence[Tensor], shapes: Sequence[Shape], *, replaced: int | None = None
    ) -> Sequence[Tensor]:
        """Return the handler's float32 results, of these shapes.

        They may take the memory of the arguments from number `replaced` on, unless these are used elsewhere, too.
        """


class XlaLayers:
    """Layers as custom calls of XLA. What a layer has not is handed over without elements."""

    def __init__(self, kernels: Kernels, names: Mapping[str, str], call: CustomCall) -> None:
        self._kernels, self._names, self._call = kernels, names, call

    def cross_entropy(
        self, inputs: Tensor, kernel: Tensor, bias: Tensor, targets: Tensor, weights: Tensor, *, threads: int, training: bool
    ) -> Tensor:
        """Return the sum over all rows; see `NativeLoss`."""
        settings = ops.convert_to_tensor([threads], "int32")

        @custom_gradient
        def run(*given: Tensor) -> Any:
            shapes = [tuple(one.shape) if training else (0,) for one in given]
            arguments = [settings, *given, targets, weights]
            loss, *gradients = self._call(self._names["xla_cross_entropy"], arguments, [(1,), *shapes])

            def gradient(*args: Any, upstream: Any = None) -> tuple[Tensor, ...]:
                (d_loss,) = args if upstream is None else (upstream,)
                return tuple(one * d_loss for one in gradients)

            return loss[0], gradient

        return run(inputs, kernel, bias)

    def adam(
        self, numbers: Tensor, counts: Sequence[int], gradients: Sequence[Sequence[Tensor]], state: Sequence[Tensor]
    ) -> Sequence[Tensor]:
        """Take a step; see `NativeAdam`."""
        threads_and_gates = ops.convert_to_tensor(list(counts), "int32")
        before = [numbers, threads_and_gates, *(one for shard in gradients for one in shard)]
        shapes = [tuple(one.shape) for one in state]
        return self._call(self._names["xla_adam"], [*before, *state], shapes, replaced=len(before))

    def __call__(
        self,
        cell: CellName,
        inputs: Tensor,
        weights: Weights,
        states: Sequence[Tensor],
        *,
        mask: Tensor | None = None,
        threads: int,
        together: int,
    ) -> tuple[Tensor, ...]:
        """Run all steps; see `NativeRun`."""
        reads_ids, none = len(inputs.shape) == 2, ops.zeros((0,), "float32")
        masks, mask = (0, none) if mask is None else (mask.shape[0], mask)
        settings, ids = ops.convert_to_tensor([CELLS.index(cell), threads, together], "int32"), ops.zeros((0,), "int32")
        if reads_ids:
            ids = ops.cast(inputs, "int32")
        T, B = inputs.shape[:2]
        H, D = weights.recurrent_kernel.shape[0], 0 if reads_ids else inputs.shape[2]
        last_cell_shape = (B, H) if len(states) == 2 else (0,)
        kept = (B and B + B % 2, kept_floats(self._kernels, cell, T=T, D=D, H=H, masks=masks))  # unknown rows: no pairs

        @custom_gradient
        def run(x: Tensor, *given: Tensor) -> Any:
            read = ids if reads_ids else x
            hidden, last_cell, kept_numbers = self._call(
                self._names["xla_forward"], [settings, read, *given, mask], [(T, B, H), last_cell_shape, kept]
            )

            def gradient(*args: Any, upstream: Any = None) -> tuple[Tensor, ...]:
                d_hidden, d_last_cell = upstream_gradients(args, upstream)
                kernel, _, recurrent_kernel, recurrent_bias, *_ = given
                layer = [settings, ids, kernel, recurrent_kernel, recurrent_bias, kept_numbers]
                arguments, shapes = [*layer, d_hidden, d_last_cell, mask], [tuple(one.shape) for one in (x, *given)]
                return tuple(self._call(self._names["xla_backward"], arguments, shapes))

            return (hidden, last_cell), gradient

        given = [none if reads_ids else inputs, *weights, *states, *[None] * (2 - len(states))]
        hidden, last_cell = run(*[none if one is None else one for one in given])
        return hidden, hidden[-1], *[last_cell] * (len(states) - 1)

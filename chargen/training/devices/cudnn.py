"""Describe the device of a training, and find settings with which its layers cannot use cuDNN.

This holds for Keras 3.15, JAX 0.10 and PyTorch 2.13. Dropout of inputs, outputs and weights and carried states do not matter:
they are computed outside of the kernels. A simple RNN has such a kernel only on PyTorch.
"""

from chargen.settings.schema import Settings
from chargen.training.devices.backend import accelerated, describe_device

BFLOAT16_SINCE = 91300  # the version of cuDNN that runs recurrent layers in bfloat16 for PyTorch


def describe_start(settings: Settings) -> list[str]:
    """Return lines with the device of the loaded backend, and a setting that makes training slower there."""
    training = settings.training
    lines = [describe_device(training.backend)]
    if accelerated() and (lost := keeps_from_cudnn(settings)):
        lines.append(f"with {lost} the network cannot use cuDNN and trains more slowly")
    return lines


def keeps_from_cudnn(settings: Settings) -> str | None:
    """Return the option with which a cell with gates cannot use cuDNN on a GPU, or None."""
    network, backend, precision = settings.network, settings.training.backend, settings.training.precision
    if network.cell == "mlstm":
        return "--cell mlstm"
    if network.cell not in ("lstm", "gru"):
        return None
    if network.recurrent_dropout:
        return "--recurrent-dropout"
    if network.cell == "gru" and not network.reset_after:
        return "--no-reset-after"
    if backend == "jax" and (network.cell == "gru" or precision != "float32"):  # it has only an LSTM in float32
        return "--backend jax" if network.cell == "gru" else f"--precision {precision} on jax"
    if backend == "torch" and precision == "mixed_bfloat16" and not _bfloat16_on_torch():
        return f"--precision {precision} with this cuDNN"
    return None


def _bfloat16_on_torch() -> bool:
    import torch

    return (torch.backends.cudnn.version() or 0) >= BFLOAT16_SINCE

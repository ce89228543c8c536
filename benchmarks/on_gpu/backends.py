"""Describe the backends of Keras on a GPU: `python -m benchmarks.on_gpu.backends BACKEND`.

Prints, as JSON, the GPU that a backend uses, its CUDA and cuDNN versions, and whether it computes float32 products in
TensorFloat-32 (TF32) by default.
"""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


def describe(backend: str) -> dict[str, Any]:
    """Load a backend and return the description."""
    from chargen.training.devices.backend import gpu_name, load_backend

    load_backend(backend)
    libraries: dict[str, Callable[[], dict[str, Any]]] = {"jax": _of_jax, "torch": _of_torch, "tensorflow": _of_tensorflow}
    return {"gpu": gpu_name()} | libraries[backend]()


def _of_jax() -> dict[str, Any]:
    import jax
    from jax.extend.backend import get_backend

    precision = jax.config.jax_default_matmul_precision
    tf32 = f"products {precision}" if precision else "products and cuDNN, as XLA chooses on GPUs that have it"
    cuda = str(get_backend().platform_version).partition("cuda ")[2]
    return {"cuda": cuda or None, "cudnn": None, "tf32": tf32}  # its cuDNN is a package


def _of_torch() -> dict[str, Any]:
    import torch

    allowed = {"products": torch.backends.cuda.matmul.allow_tf32, "cuDNN": torch.backends.cudnn.allow_tf32}
    tf32 = ", ".join(f"{name} {'yes' if yes else 'no'}" for name, yes in allowed.items())
    return {"cuda": torch.version.cuda, "cudnn": torch.backends.cudnn.version(), "tf32": tf32}


def _of_tensorflow() -> dict[str, Any]:
    import tensorflow as tf

    built, allowed = tf.sysconfig.get_build_info(), tf.config.experimental.tensor_float_32_execution_enabled()
    tf32 = f"products and cuDNN {'yes' if allowed else 'no'}"
    return {"cuda": built.get("cuda_version"), "cudnn": built.get("cudnn_version"), "tf32": tf32}


@contextmanager
def tensor_float_32(backend: str, allowed: bool) -> Iterator[None]:
    """Compute float32 products in TF32 in the block, or never, and restore the backend's default."""
    if backend == "jax":
        import jax

        with jax.default_matmul_precision("tensorfloat32" if allowed else "float32"):
            yield
        return
    before = _allow(backend, (allowed, allowed))
    try:
        yield
    finally:
        _allow(backend, before)


def _allow(backend: str, allowed: tuple[bool, bool]) -> tuple[bool, bool]:
    """Allow TF32 in products and in cuDNN, and return whether both were allowed before."""
    if backend == "torch":
        import torch

        products, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
        before = products.allow_tf32, cudnn.allow_tf32
        products.allow_tf32, cudnn.allow_tf32 = allowed
        return before
    import tensorflow as tf

    enabled = tf.config.experimental.tensor_float_32_execution_enabled()
    tf.config.experimental.enable_tensor_float_32_execution(all(allowed))
    return enabled, enabled


def peak_memory() -> int | None:
    """Return the peak GPU memory of this process's framework in bytes, or None without a GPU."""
    torch, jax, tensorflow = (sys.modules.get(name) for name in ("torch", "jax", "tensorflow"))
    if torch and torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated())
    if jax:
        return (jax.local_devices()[0].memory_stats() or {}).get("peak_bytes_in_use")
    if tensorflow and tensorflow.config.list_physical_devices("GPU"):
        return int(tensorflow.config.experimental.get_memory_info("GPU:0")["peak"])
    return None


if __name__ == "__main__":
    print(json.dumps(describe(sys.argv[1])))

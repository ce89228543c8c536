"""Load Keras on one of its backends without start-up messages, and describe the device that it computes on."""

import ctypes
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec

from chargen.cores import num_cores
from chargen.errors import ConfigError

INSTALLED_BY = {"tensorflow": "tensorflow", "jax": "'chargen[jax]'", "torch": "'chargen[torch]'"}  # those of Keras

M_TRIM_THRESHOLD, M_MMAP_MAX, M_ARENA_MAX = -1, -4, -8  # of glibc's malloc.h
LARGEST_INT = 2**31 - 1
MADV_HUGEPAGE, LARGE_PAGE = 14, 1 << 21  # of Linux's mman.h; bytes
HEAP_BYTES = 3 << 29  # as much as most trainings use, and less than M_TRIM_THRESHOLD, so that it stays
LONGEST_WAIT_SECONDS = 7 * 24 * 3600


def load_backend(name: str | None = None) -> None:
    """Import Keras on "tensorflow", "jax" or "torch" without messages; if that fails, they are shown.

    None takes the backend that is loaded, or else TensorFlow. Raises ConfigError if the backend is not installed, or if this
    process has loaded another one, because Keras cannot change its backend.
    """
    loaded = _loaded() if "keras" in sys.modules else None
    name = name or loaded or "tensorflow"
    if loaded not in (None, name):
        raise ConfigError(
            f"training.backend is {name}, but this process has loaded Keras on {loaded}", hint="start another process"
        )
    need_backend(name)
    keep_freed_memory()
    os.environ["KERAS_BACKEND"] = name
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with muted_stderr(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if name == "tensorflow":
            _prepare_tensorflow()
        if name == "jax":
            _prepare_jax()
        if name == "torch":  # or its threads wait busily after each operation, on the cores that the kernels need
            os.environ.setdefault("OMP_WAIT_POLICY", "passive")
        import keras  # noqa: F401  # here, where its start-up messages are muted
    if name == "torch":  # a warning about weights on a GPU that are not stored together: a GRU's, or new ones
        warnings.filterwarnings("ignore", message="RNN module weights are not part of single contiguous chunk of memory")


def need_backend(name: str) -> None:
    """Raise ConfigError if a backend of Keras is not installed."""
    if find_spec(name) is None:
        others = " or ".join(installed_backends())
        hint = f"pip install {INSTALLED_BY[name]}"
        raise ConfigError(
            f"training.backend is {name}, which is not installed",
            hint=f"give --backend {others}, or {hint}" if others else hint,
        )


def installed_backends() -> list[str]:
    """Return the backends of Keras that are installed, TensorFlow first, and import none of them."""
    return [name for name in INSTALLED_BY if find_spec(name) is not None]


def _loaded() -> str:
    import keras

    return str(keras.backend.backend())


def _prepare_tensorflow() -> None:
    """Let TensorFlow allocate GPU memory when it needs it, not all at once."""
    import tensorflow as tf

    for gpu in tf.config.list_physical_devices("GPU"):  # this also prints messages
        with suppress(RuntimeError):  # the GPU is already in use
            tf.config.experimental.set_memory_growth(gpu, True)


def _prepare_jax() -> None:
    """Let JAX allocate GPU memory when it needs it, and take each core of a CPU for a device, to share batches among them."""
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    import jax

    given = os.environ.get("XLA_FLAGS", "")
    if "xla_force_host_platform_device_count" not in given:
        with suppress(RuntimeError):  # the devices are already in use
            jax.config.update("jax_num_cpu_devices", num_cores())
    # JAX ends the process if a core waits longer than this for another, which a suspended process would do.
    os.environ["XLA_FLAGS"] = f"{given} --xla_cpu_collective_call_terminate_timeout_seconds={LONGEST_WAIT_SECONDS}"
    try:
        jax.devices()  # reads the flags, which child processes must not inherit
    finally:
        os.environ["XLA_FLAGS"] = given


def accelerated() -> bool:
    """Tell whether the loaded backend computes on a GPU."""
    return gpu_name() is not None


def describe_device(backend: str) -> str:
    """Return a line with the device of a backend; a backend of Keras must be loaded."""
    cores = num_cores()
    gpu = None if backend == "numpy" else gpu_name()
    return f"training on {gpu or f'CPU, {cores} core' + 's' * (cores > 1)}, {backend}"


def gpu_name() -> str | None:
    """Return the name of the GPU that the loaded backend computes on, or None."""
    if _loaded() == "jax":
        import jax

        device = jax.local_devices()[0]
        return None if device.platform == "cpu" else str(device.device_kind)
    if _loaded() == "torch":
        import torch
        from keras import ops

        kind = ops.zeros(()).device.type  # Keras chooses: also Apple's, or what KERAS_TORCH_DEVICE names
        return torch.cuda.get_device_name() if kind == "cuda" else {"cpu": None}.get(kind, kind)
    import tensorflow as tf

    found = tf.config.list_physical_devices("GPU")
    return str(tf.config.experimental.get_device_details(found[0]).get("device_name", "GPU")) if found else None


@contextmanager
def muted_stderr() -> Iterator[None]:
    """Send file descriptor 2 to a file, and back; on an exception the file is copied to stderr.

    Libraries in C++ write there directly, out of reach of `sys.stderr`.
    """
    sys.stderr.flush()
    with tempfile.TemporaryFile() as held:
        saved = os.dup(2)
        os.dup2(held.fileno(), 2)
        try:
            yield
        except Exception:
            held.seek(0)
            os.write(saved, held.read())
            raise
        finally:
            os.dup2(saved, 2)
            os.close(saved)


def keep_freed_memory() -> None:
    """Make glibc, if it is the allocator, keep freed memory instead of returning it to the system, and take large pages.

    XLA allocates its buffers for each step. If they go back to the system in between, the kernel clears every page of them
    again, which takes as long as the step itself. With pages of 2 MB instead of 4 kB the processor looks up fewer addresses.
    """
    with suppress(OSError, AttributeError):
        library = ctypes.CDLL(None)
        for parameter, value in ((M_ARENA_MAX, 1), (M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, LARGEST_INT)):
            library.mallopt(parameter, value)
        _take_large_pages(library)


def _take_large_pages(library: ctypes.CDLL) -> None:
    """Extend the heap by room that nothing occupies yet, and ask the system for large pages wherever it is used.

    Memory counts only once it is used.
    """
    library.malloc.restype = ctypes.c_void_p
    room = library.malloc(ctypes.c_size_t(HEAP_BYTES))
    if room:
        start = -(-room // LARGE_PAGE) * LARGE_PAGE
        library.madvise(ctypes.c_void_p(start), ctypes.c_size_t(HEAP_BYTES - LARGE_PAGE), MADV_HUGEPAGE)
        library.free(ctypes.c_void_p(room))

"""Loading TensorFlow without its start-up chatter."""

import ctypes
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress

M_TRIM_THRESHOLD, M_MMAP_MAX, M_ARENA_MAX = -1, -4, -8  # of glibc's malloc.h
LARGEST_INT = 2**31 - 1


def load_backend() -> None:
    """Import Keras on TensorFlow, silently; what is said while that fails is shown."""
    keep_freed_memory()
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with muted_stderr(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import keras
        import tensorflow as tf

        tf.config.list_physical_devices()  # the search for a GPU speaks too
        keras.config.disable_interactive_logging()


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
    """Have glibc keep freed memory instead of giving it back to the system, where glibc is what allocates.

    XLA takes its buffers anew for each step. If they go back to the system in between, the kernel has to clear every page of
    them again, which takes as long as the step itself.
    """
    with suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        for parameter, value in ((M_ARENA_MAX, 1), (M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, LARGEST_INT)):
            mallopt(parameter, value)


def accelerated() -> bool:
    """Tell whether training runs on a GPU, where cuDNN's recurrent layers are the fastest."""
    import tensorflow as tf

    return bool(tf.config.list_physical_devices("GPU"))

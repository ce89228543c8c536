"""Loading TensorFlow without its start-up chatter."""

import os
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


def load_backend() -> None:
    """Import Keras on TensorFlow, silently; what is said while that fails is shown."""
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


def accelerated() -> bool:
    """Tell whether training runs on a GPU, where cuDNN's recurrent layers are the fastest."""
    import tensorflow as tf

    return bool(tf.config.list_physical_devices("GPU"))

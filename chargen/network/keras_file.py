"""Read the `.keras` files that chargen exports: only their description and the bytes of their arrays.

A `.keras` file is a ZIP archive. Keras's own description of the layers, `config.json`, can refer to code: it is compared with
the layers that chargen writes, and no layer is created from it. The arrays are in an HDF5 file; chargen's description has the
offset of each, so the HDF5 library never reads an untrusted file.
"""

import hashlib
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from chargen.network.cells import Floats
from chargen.network.strict_json import parse_json
from chargen.network.tensor_file import open_regular

DESCRIPTION, CONFIG, WEIGHTS = "chargen.json", "config.json", "model.weights.h5"
LAYERS = frozenset(
    {
        *("InputLayer", "OneHot", "Embedding", "BatchNormalization", "LayerNormalization", "Dense"),
        *("SimpleRNN", "LSTM", "FusedMultiplicativeLSTM", "GRU"),
        *("GetItem", "Add", "Tanh", "ReLU", "Stack"),  # of an RNN of Dense layers
    }
)
MOST_TEXT_BYTES = 64 << 20  # the same limit as for the header of a model file
MOST_STRUCTURE_BYTES = 1 << 20  # of HDF5's own structures; 64 layers need a fifth of it
CONFIG_DEPTH, CONFIG_MARKS = 64, 1_000_000
DAMAGED = (zipfile.BadZipFile, EOFError, NotImplementedError, OverflowError, RuntimeError)  # raised by zipfile


def read_description(path: Path) -> str:
    """Return chargen's description of the model in a `.keras` file. Raises OSError, and ValueError for a file without one."""
    with _opened(path) as archive:
        return _entry(archive, DESCRIPTION, MOST_TEXT_BYTES).decode("utf-8")


def read_weights(
    path: Path, shapes: Mapping[str, tuple[int, ...]], *, offsets: Mapping[str, Any], checksum: str | None
) -> dict[str, Floats]:
    """Read arrays of the given shapes from a `.keras` file, each at its byte offset; check the SHA-256 of all.

    Raises OSError, and ValueError for a file with other layers or arrays.
    """
    size = 4 * sum(int(np.prod(shape)) for shape in shapes.values())
    with _opened(path) as archive:
        _check_layers(_entry(archive, CONFIG, MOST_TEXT_BYTES).decode("utf-8"))
        content = _entry(archive, WEIGHTS, size + MOST_STRUCTURE_BYTES)
    if hashlib.sha256(content).hexdigest() != checksum:
        raise ValueError("its weights are damaged, or Keras has saved them again")
    if offsets.keys() != shapes.keys():
        raise ValueError("its arrays are not those of its network")
    return {name: _array(content, name, offsets[name], shape) for name, shape in shapes.items()}


@contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    with open_regular(path) as file:
        try:
            archive = zipfile.ZipFile(file)
        except DAMAGED as error:
            raise ValueError("it is not a Keras archive") from error
        with archive:
            yield archive


def _entry(archive: zipfile.ZipFile, name: str, most_bytes: int) -> bytes:
    """Read an entry. Raises ValueError if it is missing, compressed, too large or damaged."""
    found = [info for info in archive.infolist() if info.filename == name]
    if len(found) != 1:
        hint = "; chargen.keras.save makes a model file of a Keras model" if name == DESCRIPTION else ""
        raise ValueError(f"it has {len(found) or 'no'} {name}{hint}")
    if found[0].compress_type != zipfile.ZIP_STORED:
        raise ValueError(f"its {name} is compressed")
    if found[0].file_size > most_bytes:
        raise ValueError(f"its {name} has {found[0].file_size:,} bytes, at most {most_bytes:,} are read")
    try:
        return archive.read(found[0])
    except DAMAGED as error:
        raise ValueError(f"its {name} is damaged") from error


def _check_layers(config: str) -> None:
    """Raise ValueError for a layer that chargen does not export, such as a Lambda."""
    parsed = parse_json(config, depth=CONFIG_DEPTH, marks=CONFIG_MARKS)
    for layer in parsed["config"]["layers"]:
        if layer["class_name"] not in LAYERS:
            raise ValueError(f"it has a layer of the kind {layer['class_name']!r:.40}, which chargen does not export")


def _array(content: bytes, name: str, offset: Any, shape: tuple[int, ...]) -> Floats:
    count = int(np.prod(shape))
    if type(offset) is not int or not 0 <= offset <= len(content) - 4 * count:
        raise ValueError(f"{name} is not within its weights")
    return np.frombuffer(content, "<f4", count, offset).astype(np.float32).reshape(shape)

"""Model files built as attacks. Each must be refused; nothing depends on chance."""

import io
import json
import os
import pickle
import sys
import zipfile
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from chargen.network.tensor_file import LENGTH_BYTES, MAX_HEADER_BYTES, METADATA
from tests.hostile.craft import build, join, parts, split, valid_files

Change = Callable[[dict[str, Any], dict[str, Any]], object]

CANARY = "canary"  # code in a file would write this if it ran

METADATA_CHANGES: dict[str, Change] = {
    "layers-1e9": lambda metadata, header: metadata["network"].update(num_layers=10**9),
    "hidden-1e9": lambda metadata, header: metadata["network"].update(hidden_size=10**9),
    "largest-network": lambda metadata, header: metadata["network"].update(num_layers=64, hidden_size=65536, cell="lstm"),
    "largest-dense": lambda metadata, header: metadata["network"].update(dense_size=65536, embedding_size=65536),
    "hidden-true": lambda metadata, header: metadata["network"].update(hidden_size=True),
    "hidden-float": lambda metadata, header: metadata["network"].update(hidden_size=5.0),
    "hidden-20-digits": lambda metadata, header: metadata["network"].update(hidden_size=10**19),
    "hidden-5000-digits": lambda metadata, header: metadata["network"].update(hidden_size="DIGITS"),
    "network-list": lambda metadata, header: metadata.update(network=[1]),
    "network-odd-key": lambda metadata, header: metadata["network"].update({"../../etc/passwd": 1}),
    "network-long-key": lambda metadata, header: metadata["network"].update({"a" * 10_000_000: 1}),
    "network-long-value": lambda metadata, header: metadata["network"].update(cell="a" * 10_000_000),
    "cell-path": lambda metadata, header: metadata["network"].update(cell="../../../etc/passwd"),
    "format-version-text": lambda metadata, header: metadata.update(format_version="2"),
    "format-version-99": lambda metadata, header: metadata.update(format_version=99),
    "no-checksum": lambda metadata, header: metadata.pop("sha256"),
    "checksum-null": lambda metadata, header: metadata.update(sha256=None),
    "checksum-empty": lambda metadata, header: metadata.update(sha256=""),
    "checksum-wrong": lambda metadata, header: metadata.update(sha256="1" * 64),
    "task-odd": lambda metadata, header: metadata.update(task="os.system('true')"),
    "task-list": lambda metadata, header: metadata.update(task=["generate"]),
    "context-0": lambda metadata, header: metadata.update(context_length=0),
    "context-1e12": lambda metadata, header: metadata.update(context_length=10**12),
    "context-negative": lambda metadata, header: metadata.update(context_length=-1),
    "primer-empty": lambda metadata, header: metadata.update(primer=[]),
    "primer-outside": lambda metadata, header: metadata.update(primer=[10**6]),
    "primer-negative": lambda metadata, header: metadata.update(primer=[-1]),
    "reading-path": lambda metadata, header: metadata.update(reading="/etc/passwd"),
    "provenance-list": lambda metadata, header: metadata.update(provenance=["../.."]),
    "vocabulary-kind-path": lambda metadata, header: metadata["vocabulary"].update(kind="../../vocabulary"),
    "vocabulary-kind-list": lambda metadata, header: metadata["vocabulary"].update(kind=["character"]),
    "vocabulary-empty": lambda metadata, header: metadata["vocabulary"].update(characters=""),
    "vocabulary-twice": lambda metadata, header: metadata["vocabulary"].update(characters="aabbcc"),
    "vocabulary-surrogate": lambda metadata, header: metadata["vocabulary"].update(characters="\nabc\u00e9\ud800"),
    "vocabulary-low-surrogate": lambda metadata, header: metadata["vocabulary"].update(characters="\nabc\u00e9\udc80"),
    "vocabulary-long-text": lambda metadata, header: metadata["vocabulary"].update(characters="a" * 10_000_000),
    "vocabulary-other-size": lambda metadata, header: metadata["vocabulary"].update(characters="abc"),
    "labels-twice": lambda metadata, header: metadata["vocabulary"].update(labels=["x", "x"]),
    "words-nothing": lambda metadata, header: metadata.update(vocabulary={"kind": "word", "words": [], "num_characters": 1}),
    "words-count-1e19": lambda metadata, header: metadata.update(
        vocabulary={"kind": "word", "words": list("abcd"), "num_characters": 10**19}
    ),
    "merges-unknown": lambda metadata, header: metadata.update(
        vocabulary={"kind": "bpe", "characters": "ab", "merges": [["a", "c"]]}
    ),
    "merges-triple": lambda metadata, header: metadata.update(
        vocabulary={"kind": "bpe", "characters": "ab", "merges": [["a", "b", "a"]]}
    ),
}

HEADER_CHANGES: dict[str, Change] = {
    "shape-negative": lambda metadata, header: header["output.bias"].update(shape=[-7]),
    "shape-overflow": lambda metadata, header: header["output.bias"].update(shape=[2**63, 2, 7]),
    "shape-wraps-to-right": lambda metadata, header: header["output.bias"].update(shape=[2**62, 4, 7]),
    "shape-true": lambda metadata, header: header["output.bias"].update(shape=[True]),
    "shape-float": lambda metadata, header: header["output.bias"].update(shape=[7.0]),
    "shape-text": lambda metadata, header: header["output.bias"].update(shape="7"),
    "shape-more-axes": lambda metadata, header: header["output.bias"].update(shape=[1] * 3000 + [7]),
    "shape-turned": lambda metadata, header: header["output.kernel"].update(shape=[7, 5]),
    "dtype-f64": lambda metadata, header: header["output.bias"].update(dtype="F64"),
    "dtype-f16": lambda metadata, header: header["output.bias"].update(dtype="F16"),
    "dtype-object": lambda metadata, header: header["output.bias"].update(dtype="object"),
    "dtype-list": lambda metadata, header: header["output.bias"].update(dtype=["F32"]),
    "offsets-swapped": lambda metadata, header: header["output.bias"]["data_offsets"].reverse(),
    "offsets-beyond": lambda metadata, header: header["output.bias"].update(data_offsets=[2**40, 2**40 + 28]),
    "offsets-negative": lambda metadata, header: header["output.bias"].update(data_offsets=[-28, 0]),
    "offsets-shifted": lambda metadata, header: header["output.kernel"].update(
        data_offsets=[place - 4 for place in header["output.kernel"]["data_offsets"]]
    ),
    "offsets-three": lambda metadata, header: header["output.bias"]["data_offsets"].append(0),
    "offsets-overlap": lambda metadata, header: header["output.bias"].update(data_offsets=header["embedding"]["data_offsets"]),
    "tensor-missing": lambda metadata, header: header.pop("output.bias"),
    "tensor-empty-extra": lambda metadata, header: header.update(extra={"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}),
    "tensor-path": lambda metadata, header: header.update({"../../../tmp/x": header.pop("output.bias")}),
    "tensor-escape-codes": lambda metadata, header: header.update({"\x1b[2J\n\u2028": header.pop("output.bias")}),
    "tensor-key-extra": lambda metadata, header: header["output.bias"].update(file="/etc/passwd"),
    "tensor-null": lambda metadata, header: header.update({"output.bias": None}),
    "tensors-many": lambda metadata, header: header.update(
        {f"t{number}": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for number in range(200_000)}
    ),
}

JSON_NUMBERS = {"nan": "NaN", "infinity": "-Infinity", "1e999": "1e999", "5000-digits": "9" * 5000}


DEVICES = [Path("/dev/zero"), Path("/dev/null"), Path("/proc/self/mem"), Path("/dev"), Path("/nowhere/" + "a" * 5000)]


class Bomb:
    """A class whose pickle runs code when loaded."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {CANARY}",)


def write_attacks(folder: Path, *, large: bool) -> None:
    """Write every attack as FOLDER/NAME/model.safetensors; those that take seconds only on demand."""
    for name, content in chain(attacks(), large_attacks() if large else ()):
        _place(folder, name).write_bytes(content)
    _make_special_files(folder)


def attack_paths(folder: Path) -> list[Path]:
    """Return the attacks in a folder, including those that are not regular files."""
    return [one / "model.safetensors" for one in sorted(folder.iterdir())] + DEVICES


def _place(folder: Path, name: str) -> Path:
    path = folder / name / "model.safetensors"
    path.parent.mkdir()
    return path


def attacks() -> Iterator[tuple[str, bytes]]:
    """Yield name and bytes of every attack that is a regular file and is made fast."""
    files = valid_files()
    plain = files["characters"]
    for name, change in (METADATA_CHANGES | HEADER_CHANGES).items():
        metadata, header, data = parts(plain)
        change(metadata, header)
        yield name, build(json.dumps(metadata).replace('"DIGITS"', "9" * 5000), header, data)
    yield from _weights(plain)
    yield from _lengths(plain)
    yield from _json_texts(plain)
    yield from _foreign_files()
    yield "words-too-many", _too_many_words()
    metadata, header, data = parts(files["classifier"])
    for name, labels in {
        "class-labels-one": ["a"],
        "class-labels-twice": ["a", "a"],
        "class-labels-more": ["a", "b", "c"],
    }.items():
        yield name, build(metadata | {"labels": labels}, header, data)


def _weights(plain: bytes) -> Iterator[tuple[str, bytes]]:
    metadata, header, data = parts(plain)
    for name, odd in {"weight-nan": np.nan, "weight-inf": np.inf, "weight-minus-inf": -np.inf, "weight-huge": 3e38}.items():
        values = np.frombuffer(data, np.float32).copy()
        values[-1] = odd
        yield name, build(metadata, header, values.tobytes())
    yield "data-more", build(metadata, header, data + bytes(4))
    yield "data-less", build(metadata, header, data[:-4])
    yield "data-none", build(metadata, header, b"")
    hole = {name: one | {"data_offsets": [place + 4 for place in one["data_offsets"]]} for name, one in header.items()}
    yield "data-hole", build(metadata, hole, bytes(4) + data)


def _lengths(plain: bytes) -> Iterator[tuple[str, bytes]]:
    raw, data = split(plain)
    for name, length in {"0": 0, "1": 1, "10GB": 10**10, "all-ones": 2**64 - 1, "sign-bit": 2**63}.items():
        yield f"header-length-{name}", length.to_bytes(LENGTH_BYTES, "little") + raw + data
    yield "header-100MB", join(b'{"__metadata__":{"chargen":"' + b"a" * 100_000_000 + b'"}}', data)
    yield "header-100MB-spaces", join(raw + b" " * 100_000_000, data)
    yield "empty", b""
    yield "seven-bytes", b"\x00" * 7
    yield "eight-bytes", b"\x00" * 8
    yield "zeros", bytes(1 << 20)


def _json_texts(plain: bytes) -> Iterator[tuple[str, bytes]]:
    metadata, header, data = parts(plain)
    text, tensors = json.dumps(metadata), json.dumps(header)[1:-1]
    raw = split(build(metadata, header, data))[0].decode()
    for name, digits in JSON_NUMBERS.items():
        yield f"metadata-{name}", build(text.replace('"epochs": 3', f'"epochs": {digits}'), header, data)
        yield f"header-{name}", join(raw.replace('"shape": [7]', f'"shape": [{digits}]'), data)
    yield "metadata-key-twice", build(text[:-1] + ', "ends": true}', header, data)
    yield "metadata-network-key-twice", build(text.replace('"num_layers"', '"hidden_size": 5, "num_layers"'), header, data)
    yield "header-key-twice", join(raw[:-1] + ', "output.bias": {}}', data)
    yield "header-tensor-twice", join(raw[:-1] + ", " + tensors + "}", data)
    yield "header-metadata-twice", join(raw[:-1] + f', "{METADATA}": {{}}}}', data)
    yield "header-dtype-twice", join(raw.replace('"dtype": "F32"', '"dtype": "F32", "dtype": "F32"', 1), data)
    for opening in ("[", '{"a":'):
        deep, kind = opening * 1_000_000, "list" if opening == "[" else "object"
        yield f"header-deep-{kind}", join(deep, data)
        yield f"metadata-deep-{kind}", build(deep, header, data)
        yield f"provenance-deep-{kind}", build(text.replace('"epochs": 3', f'"epochs": {deep}'), header, data)
        yield f"escaped-deep-{kind}", build('{"\\' + deep, header, data)
    closed = "[" * 100_000 + "]" * 100_000
    yield "provenance-deep-closed", build(text.replace('"epochs": 3', f'"epochs": {closed}'), header, data)
    yield "metadata-list", build("[1]", header, data)
    yield "metadata-nothing", build("", header, data)
    yield "metadata-bom", build("\ufeff" + text, header, data)
    yield "metadata-trailing", build(text + "x", header, data)
    yield "metadata-other-key", join(raw.replace('"chargen"', '"chargem"'), data)
    yield "metadata-number", join(f'{{"{METADATA}": {{"chargen": 3}}, {tensors}}}', data)
    yield "metadata-object", join(f'{{"{METADATA}": {{"chargen": {text}}}, {tensors}}}', data)
    yield "header-list", join("[]", data)
    yield "header-not-utf-8", join(raw.encode().replace(b"output.bias", b"output.\xff\xfe\xfds"), data)
    yield "header-utf-16", join(raw.encode("utf-16"), data)
    yield "header-python", join(f"__import__('os').system('touch {CANARY}')", data)


def large_attacks() -> Iterator[tuple[str, bytes]]:
    """Yield headers of exactly the largest accepted size, filled so that parsing them is as expensive as possible."""
    metadata, header, data = parts(valid_files()["characters"])
    room = MAX_HEADER_BYTES - 10_000
    words = {"kind": "word", "words": "WORDS", "num_characters": 4}
    text = json.dumps(metadata | {"vocabulary": words})

    def filled(piece: str, count: int | None = None) -> bytes:
        size = len(json.dumps(piece)) - 2  # as it is written in the header
        return build(text.replace('"WORDS"', "[" + piece * (count or room // size) + '"z"]'), header, data)

    yield "words-10-million", filled('"a",')
    yield "words-most-distinct", filled("".join(f'"{number:x}",' for number in range(1_000_000, 5_900_000)), 1)
    yield "words-most-lists", filled("[],", 1_900_000)
    yield "words-most-objects", filled("{},", 1_900_000)
    yield "words-most-numbers", filled("9999999,", 5_900_000)
    yield "words-one-long", filled("".join(['"', "a" * (room - 100), '",']), 1)
    yield "keys-most", build(json.dumps(metadata | {"provenance": "P"}).replace('"P"', _keys()), header, data)
    yield "quotes-most", join(b'{"' + b'\\"' * (room // 2) + b'":1}', data)
    yield "backslashes-most", join(b'{"' + b"\\" * room + b'":1}', data)


def with_paths() -> bytes:
    """Return a valid file whose texts are paths and escape codes, which must not be used."""
    metadata, header, data = parts(valid_files()["characters"])
    odd = {"corpus": "../../../etc/passwd", "sha256": "/etc/passwd", "epochs": "\x1b[2J", "/dev/zero": "file:///etc/passwd"}
    return build(metadata | {"provenance": odd, "import": "os", "path": "/etc/passwd"}, header, data)


def _too_many_words() -> bytes:
    """Return a file of moderate size with more words than allowed."""
    metadata, header, data = parts(valid_files()["characters"])
    words = [f"{number:x}" for number in range(1_100_000)]
    return build(metadata | {"vocabulary": {"kind": "word", "words": words, "num_characters": 4}}, header, data)


def _keys() -> str:
    return "{" + ",".join(f'"{number:x}":0' for number in range(2_500_000)) + ',"0":0}'


def _foreign_files() -> Iterator[tuple[str, bytes]]:
    for protocol in (0, 2, pickle.HIGHEST_PROTOCOL):
        yield f"pickle-{protocol}", pickle.dumps(Bomb(), protocol)
    layers = [{"class_name": "Lambda", "config": {"function": {"class_name": "__lambda__", "config": {"code": "4wEAAAA="}}}}]
    config = json.dumps({"class_name": "Sequential", "config": {"layers": layers}})
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("config.json", config)
        file.writestr("metadata.json", '{"keras_version": "3.15.1"}')
        file.writestr(f"../../{CANARY}", "x")
        file.writestr("model.weights.h5", b"\x89HDF\r\n\x1a\n" + bytes(500))
    yield "keras-archive", archive.getvalue()
    yield "keras-hdf5", b"\x89HDF\r\n\x1a\n" + bytes(88) + config.encode() + bytes(1000)
    saved = io.BytesIO()
    np.save(saved, np.array([Bomb()], object), allow_pickle=True)
    yield "numpy-pickle", saved.getvalue()
    yield "python-source", f"import os\nos.system('touch {CANARY}')\n".encode() * 20
    yield "zip-bomb", _zip_bomb()


def _zip_bomb() -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("model.safetensors", bytes(50_000_000))
    return archive.getvalue()


def _make_special_files(folder: Path) -> None:
    """Make files that are not regular, and one that claims to be large."""
    _place(folder, "directory").mkdir()
    os.mkfifo(_place(folder, "pipe"))
    (loop := _place(folder, "link-loop")).symlink_to(loop)
    _place(folder, "link-dangling").symlink_to(folder / "nothing")
    _place(folder, "link-zero").symlink_to("/dev/zero")
    _place(folder, "link-proc").symlink_to("/proc/self/status")
    (sparse := _place(folder, "sparse-1TB")).write_bytes(valid_files()["characters"])
    os.truncate(sparse, 1 << 40)
    (zeros := _place(folder, "sparse-zeros")).touch()
    os.truncate(zeros, 1 << 40)


if __name__ == "__main__":
    write_attacks(Path(sys.argv[1]), large=sys.argv[2:] == ["large"])

"""Write and read checkpoints: all that training needs to continue, in folders that are complete or absent."""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load, save

from chargen.files import sync_folder, write_durably

FORMAT_VERSION = 2
KEPT = 2
ARRAYS, FACTS, MANIFEST = "arrays.safetensors", "facts.json", "manifest.json"
UNFINISHED = ".writing-"

Arrays = dict[str, npt.NDArray[Any]]


class Position(NamedTuple):
    """The step that comes next: epoch and step of the epoch, both counted from 0."""

    epoch: int
    step: int


class Checkpoint(NamedTuple):
    """The state of a training: arrays by name, and facts, which are plain JSON values."""

    position: Position
    arrays: Arrays
    facts: dict[str, Any]


def write_checkpoint(folder: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint to a temporary folder, flush it to disk and rename it; delete all but the `KEPT` newest.

    Raises OSError; the earlier checkpoints are then still there.
    """
    folder.mkdir(exist_ok=True)
    name = f"{checkpoint.position.epoch:06d}-{checkpoint.position.step:09d}"
    place, unfinished = folder / name, folder / f"{UNFINISHED}{name}"
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        _write_files(unfinished, checkpoint)
        shutil.rmtree(place, ignore_errors=True)  # a damaged checkpoint, or an earlier one of the same step
        unfinished.rename(place)
        sync_folder(folder)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    for older in _places(folder)[KEPT:]:
        shutil.rmtree(older, ignore_errors=True)
    for leftover in folder.glob(f"{UNFINISHED}*"):
        shutil.rmtree(leftover, ignore_errors=True)


def _write_files(folder: Path, checkpoint: Checkpoint) -> None:
    """Write the files of a checkpoint; the manifest with their sha256 comes last."""
    contiguous = {name: np.asarray(array, order="C") for name, array in checkpoint.arrays.items()}
    facts = checkpoint.facts | {"format_version": FORMAT_VERSION, "position": list(checkpoint.position)}
    contents = {ARRAYS: save(contiguous), FACTS: json.dumps(facts).encode()}
    folder.mkdir()
    for name, content in contents.items():
        write_durably(folder / name, content)
    sums = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    write_durably(folder / MANIFEST, json.dumps(sums).encode())
    sync_folder(folder)


def read_newest(folder: Path) -> tuple[Checkpoint | None, list[str]]:
    """Return the newest checkpoint that is not damaged, or None, and a message about each newer one that is."""
    notes: list[str] = []
    for place in _places(folder):
        try:
            return _read(place), notes
        except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
            notes.append(f"the checkpoint {place} is damaged ({error}); using the one before it")
    return None, notes


def _read(place: Path) -> Checkpoint:
    sums = json.loads((place / MANIFEST).read_bytes())
    contents = {name: (place / name).read_bytes() for name in (ARRAYS, FACTS)}
    for name, content in contents.items():
        if hashlib.sha256(content).hexdigest() != sums[name]:
            raise ValueError(f"the sha256 of {name} is wrong")
    facts = json.loads(contents[FACTS])
    if facts.pop("format_version") != FORMAT_VERSION:
        raise ValueError(f"its format version is not {FORMAT_VERSION}")
    epoch, step = facts.pop("position")
    return Checkpoint(Position(epoch, step), load(contents[ARRAYS]), facts)


def newest_facts(folder: Path) -> dict[str, Any] | None:
    """Return the facts of the newest checkpoint without reading its arrays; None if none can be read."""
    for place in _places(folder):
        try:
            facts: dict[str, Any] = json.loads((place / FACTS).read_bytes())
            return facts
        except (OSError, ValueError):
            continue
    return None


def _places(folder: Path) -> list[Path]:
    """Return the folders of all checkpoints, the newest first."""
    return sorted((path for path in folder.glob("[0-9]*-*") if path.is_dir()), reverse=True)

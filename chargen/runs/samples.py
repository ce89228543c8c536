"""Write and read the sample texts of a run: samples.jsonl, one a line, and samples.txt, the same texts for people."""

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

from chargen.errors import RunError
from chargen.files import write_atomically
from chargen.runs.old_samples import parse_layout


class SampleText(NamedTuple):
    """A text that was drawn after an epoch, counted from 1; the text begins with the prompt."""

    epoch: int
    prompt: str
    diversity: float
    text: str


def append_samples(path: Path, samples: Sequence[SampleText]) -> None:
    """Append the sample texts of an epoch to samples.jsonl and to the samples.txt beside it. Raises OSError."""
    for place, text in ((path, _lines(samples)), (_view(path), f"{sample_layout(samples)}\n")):
        with place.open("a", encoding="utf-8", newline="\n") as file:
            file.write(text)


def sample_layout(samples: Sequence[tuple[int, str, float, str]]) -> str:
    """Return the sample texts of one epoch, each as in `SampleText`, in the layout of Keras's text generation example."""
    lines = [f"----- Generating text after epoch {samples[0][0]}"]
    for _, prompt, diversity, text in samples:
        lines += [f"----- diversity: {diversity:g}", f'----- Generating with seed: "{prompt}"', text, ""]
    return "\n".join(lines)


def size_of_samples(path: Path) -> int:
    """Return the bytes of samples.jsonl, 0 if there is none."""
    return path.stat().st_size if path.exists() else 0


def cut_samples(path: Path, size: int) -> None:
    """Truncate samples.jsonl to a size that `size_of_samples` returned, and write samples.txt again."""
    if path.exists():
        os.truncate(path, size)
        _write_view(path, read_samples(path))


def convert_old_samples(path: Path, size: int) -> None:
    """Truncate the samples.txt of an older version to a size in bytes, and write the samples.jsonl that is missing."""
    view = _view(path)
    if view.exists():
        os.truncate(view, size)
        write_atomically(path, _lines(_read_old(view)))


def read_samples(path: Path) -> list[SampleText]:
    """Return the sample texts in samples.jsonl, or in the samples.txt beside it if an older version wrote the run.

    A last line that was cut off is left out. Raises RunError for a file that is damaged or cannot be read.
    """
    try:
        return list(_parse(path, path.read_bytes().split(b"\n")[:-1]))
    except FileNotFoundError:
        return _read_old(_view(path))
    except OSError as error:
        raise RunError(f"cannot read {path}: {error.strerror}") from error


def _parse(path: Path, lines: Sequence[bytes]) -> Iterator[SampleText]:
    for number, line in enumerate(lines, start=1):
        try:
            yield SampleText(**json.loads(line))
        except (ValueError, TypeError) as error:
            raise RunError(f"{path} is damaged at line {number}: it is not a sample text") from error


def _read_old(path: Path) -> list[SampleText]:
    try:
        return [SampleText(*sample) for sample in parse_layout(path.read_bytes().decode("utf-8", "replace"))]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise RunError(f"cannot read {path}: {error.strerror}") from error


def _lines(samples: Iterable[SampleText]) -> str:
    return "".join(f"{json.dumps(sample._asdict(), ensure_ascii=False)}\n" for sample in samples)


def _view(path: Path) -> Path:
    return path.with_suffix(".txt")


def _write_view(path: Path, samples: Sequence[SampleText]) -> None:
    epochs = (list(group) for _, group in groupby(samples, key=attrgetter("epoch")))
    write_atomically(_view(path), "".join(f"{sample_layout(epoch)}\n" for epoch in epochs))

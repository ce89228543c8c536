"""Measure how many texts of a folder are decoded correctly: `python -m benchmarks.encodings FOLDER [--json]`.

The folder contains one folder per encoding, named as in the tests of chardet (https://github.com/chardet/chardet, folder
tests): the encoding, and after a hyphen the language if known. A text is right if it is decoded like in its encoding, or in one
that has all of its characters. `--piece N` reads only N characters of each text.
"""

import codecs
import json
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import click

from chargen.corpus.decoding import decode
from chargen.errors import CorpusError

# Encodings that contain all characters of another one, except for a few variants.
LARGER = {
    "gb2312": ["gb18030"],
    "big5": ["cp950", "big5hkscs"],
    "shift_jis": ["cp932"],
    "euc_kr": ["cp949"],
    "iso8859-1": ["cp1252"],
    "iso8859-9": ["cp1254"],
    "tis-620": ["cp874"],
    "cp932": ["shift_jis"],
}
OTHER_NAMES = {"ibm855": "cp855", "ibm866": "cp866", "maccyrillic": "mac_cyrillic", "macroman": "mac_roman"}


class Outcome(NamedTuple):
    """The result for a text: right, doubtful, wrong, or refused."""

    file: str
    expected: str
    found: str
    is_right: bool
    is_doubtful: bool


def expected_encoding(folder: str) -> str | None:
    """Return the codec named by a folder, or None for an encoding that Python does not have."""
    words = folder.lower().split("-")
    for count in range(len(words), 0, -1):
        name = "-".join(words[:count])
        try:
            return codecs.lookup(OTHER_NAMES.get(name, name)).name
        except LookupError:
            continue
    return None


def outcome(raw: bytes, expected: str, name: str) -> Outcome:
    """Read a text as `chargen train` does and compare it with its text in the right encoding."""
    try:
        text, how = decode(raw, name=name)
    except CorpusError as error:
        return Outcome(name, expected, error.message, is_right=False, is_doubtful=False)
    texts = {_decoded(raw, one) for one in (expected, *LARGER.get(expected, ()))}
    return Outcome(name, expected, how.encoding, text in texts, bool(how.guess and how.guess.is_doubtful))


def _decoded(raw: bytes, encoding: str) -> str | None:
    try:
        return raw.decode(encoding).removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError:
        return None


def texts_of(folder: Path, piece: int) -> Iterator[tuple[bytes, str, str]]:
    """Yield the bytes, the encoding and the name of each text."""
    rng = random.Random(1)
    for path in sorted(path for path in folder.glob("*/*") if path.is_file()):
        expected = expected_encoding(path.parent.name)
        name = path.relative_to(folder).as_posix()
        if expected is None or _decoded(path.read_bytes(), expected) is None:
            click.echo(f"left out: {name} is not in an encoding that Python reads", err=True)
        elif not piece:
            yield path.read_bytes(), expected, name
        elif text := _piece(path.read_bytes().decode(expected), piece, rng):
            yield text.encode(expected), expected, name


def _piece(text: str, length: int, rng: random.Random) -> str:
    """Return some characters of a text, or "" if they are ASCII, which is equal in most encodings."""
    start = rng.randrange(max(1, len(text) - length + 1))
    piece = text[start : start + length]
    return "" if piece.isascii() else piece


@click.command(help=__doc__)
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--piece", type=click.IntRange(min=0), default=0, help="Characters of each text that are read; 0 is all.")
@click.option("--json", "as_json", is_flag=True, help="Print every text as JSON.")
def main(folder: Path, piece: int, as_json: bool) -> None:
    """Read the texts of a folder and print how many were right."""
    outcomes = [outcome(*one) for one in texts_of(folder, piece)]
    if as_json:
        click.echo(json.dumps([one._asdict() for one in outcomes], indent=1))
        return
    counts = Counter((one.is_right, one.is_doubtful) for one in outcomes)
    for (right, doubtful), what in {
        (True, False): "right",
        (True, True): "right, reported as doubtful",
        (False, True): "wrong, reported as doubtful",
        (False, False): "wrong or refused",
    }.items():
        count = counts[right, doubtful]
        click.echo(f"{what:28} {count:5,}  {count / max(1, len(outcomes)):6.1%}")
    for one in outcomes:
        if not one.is_right:
            click.echo(f"{one.file}: {one.expected} read as {one.found}{', doubtful' if one.is_doubtful else ''}")


if __name__ == "__main__":
    main()

"""Write chargen/settings/keywords.py: the keyword arguments of the Python interface, typed for editors, from the schema.

python -m tests.typed_keywords            write the file
python -m tests.typed_keywords --check    fail if it is not what would be written
"""

import json
import sys
from collections.abc import Iterator
from dataclasses import fields
from inspect import formatannotation
from pathlib import Path
from typing import Any, get_type_hints

from chargen.settings import keywords
from chargen.settings.schema import Setting, declared_settings, keyword_name, keyword_of
from chargen.settings.writing import COUNT, WritingOptions

HEAD = '''"""Type the keyword arguments of the Python interface. `make format` writes this file from the declared settings."""

from collections.abc import Sequence
from os import PathLike
from typing import Literal, TypedDict


class NetworkKeywords(TypedDict, total=False):
    """The settings of a network, named as the flags of `chargen train`; `chargen train --help-all` explains each."""

'''
TRAIN = '''

class TrainKeywords(NetworkKeywords, total=False):
    """Every setting of a training, named as the flags of `chargen train`; `chargen train --help-all` explains each."""

'''
WRITING = '''

class WritingKeywords(TypedDict, total=False):
    """How text is written, named as the flags of `chargen sample`; `chargen sample --help-all` explains each."""

'''
WIDER = {"tuple[str, ...]": "Sequence[str]", "tuple[float, ...]": "float | Sequence[float]"}
PATHS = {"from_"}


def keyword_line(name: str, kind: Any, detail: Setting) -> str:
    """Return the line of a class that types one keyword."""
    if detail.choices:
        optional = " | None" if "None" in formatannotation(kind) else ""
        return f"    {name}: Literal[{', '.join(map(json.dumps, detail.choices))}]{optional}"
    typed = formatannotation(kind)
    typed = "str | PathLike[str] | None" if name in PATHS else WIDER.get(typed, typed)
    return f"    {name}: {typed}"


def setting_lines(*, network: bool) -> Iterator[str]:
    """Yield a line for each setting of the network, or for each other setting; files are positional."""
    for section, one, kind, detail in declared_settings():
        if (section == "network") != network:
            continue
        yield from (f"    {keyword_of(flag)}: bool" for flag in detail.shorthands)
        if one.name != "files":
            yield keyword_line(keyword_name(one.name, detail), kind, detail)


def writing_lines() -> Iterator[str]:
    """Yield a line for each option of writing."""
    kinds = get_type_hints(WritingOptions)
    for one in fields(WritingOptions):
        if one.name != COUNT:
            yield keyword_line(one.name, kinds[one.name], one.metadata["setting"])


def main() -> None:
    """Write or check the file."""
    path = Path(keywords.__file__)
    parts = ((HEAD, setting_lines(network=True)), (TRAIN, setting_lines(network=False)), (WRITING, writing_lines()))
    content = "".join(head + "\n".join(lines) + "\n" for head, lines in parts)
    if "--check" not in sys.argv:
        path.write_text(content, encoding="utf-8")
    elif path.read_text(encoding="utf-8") != content:
        sys.exit(f"{path} is not what the settings declare; run make format")


if __name__ == "__main__":
    main()

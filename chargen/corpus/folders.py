"""Find the files of a folder that are texts to read, by pattern, without hidden and system files."""

import os
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from mimetypes import guess_type
from pathlib import Path, PurePosixPath

from chargen.corpus.wording import MOST_NAMED, counted, listed
from chargen.errors import ReadingError

TEXT_PATTERNS = ("**/*.txt", "**/*.md")  # read where no pattern is given

# Files that systems and programs leave in folders of other files, in lower case. Names that begin with "." are hidden anyway.
_SYSTEM_NAMES = {"__macosx", "__pycache__", "thumbs.db", "desktop.ini", "$recycle.bin", "system volume information"}


@dataclass(frozen=True)
class Listing:
    """The files of a folder that match, in order.

    `others` counts the files of other kinds by their ending; `unreadable` names folders and links that lead nowhere, each with
    the reason.
    """

    files: tuple[Path, ...]
    others: Counter[str]
    unreadable: tuple[str, ...] = ()


def list_folder(folder: Path, glob: str | None) -> Listing:
    """Return the files of a folder and of the folders in it that match a pattern, sorted by path.

    Without a pattern these are .txt and .md files, and the others are counted. Letters match in either case. Hidden and system
    files, and those in hidden folders, match only a pattern that names them, as in a shell. Links to folders are not followed.
    Raises ReadingError for a pattern that leads out of the folder.
    """
    patterns = [_pattern_parts(one) for one in (TEXT_PATTERNS if glob is None else (glob,))]
    files: list[Path] = []
    others: Counter[str] = Counter()
    unreadable: list[str] = []
    for path in _walk(folder, patterns, unreadable):
        parts = _folded(path.relative_to(folder).parts)
        if any(_matches(parts, pattern) for pattern in patterns):
            if path.is_file():
                files.append(path)
            elif path.is_symlink():
                unreadable.append(f"{path.relative_to(folder).as_posix()} (a link to nothing)")
        elif glob is None:
            others[path.suffix.lower()] += 1
    return Listing(tuple(sorted(files)), others, tuple(sorted(unreadable)))


@dataclass
class LeftOut:
    """The files of a folder that are not read, by the reason why."""

    blank: list[str] = field(default_factory=list)
    copies: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)

    def describe(self) -> list[str]:
        """Return a line for each reason.

        >>> print(*LeftOut(blank=["a.txt", "b.txt"], others=Counter({".py": 9, ".csv": 3})).describe(), sep="\\n")
        2 files left out, empty or blank: a.txt, b.txt
        12 files of other kinds left out: .py 9, .csv 3 (--glob '**/*.py' reads .py)
        """
        reasons = [
            (self.blank, "empty or blank", ", "),
            (self.copies, "copies of others", ", "),
            (self.unreadable, "not readable", "; "),
        ]
        lines = [
            f"{counted(len(names), 'file')} left out, {why}: {listed(names, comma)}" for names, why, comma in reasons if names
        ]
        if self.others:
            kinds, hint = describe_kinds(self.others)
            lines.append(f"{counted(self.others.total(), 'file')} of other kinds left out: {kinds} ({hint})")
        return lines

    def nothing_to_read(self, folder: Path, glob: str | None) -> ReadingError:
        """Return the error for a folder of which every file is left out."""
        if self.blank or self.copies or self.unreadable:
            why = "; ".join(self.describe()[:3])
            return ReadingError(
                f"no text to read in {folder}: {why}", hint="choose other files, or other ones of the folder with --glob"
            )
        if glob is not None:
            return ReadingError(
                f"no file in {folder} matches {glob}", hint="choose another pattern with --glob, such as '**/*.md'"
            )
        if not self.others:
            return ReadingError(
                f"no file in {folder}", hint="hidden and system files do not count; give a folder with .txt or .md files"
            )
        kinds, hint = describe_kinds(self.others)
        return ReadingError(f"no .txt or .md file in {folder}, only {kinds}", hint=hint)


def describe_kinds(endings: Counter[str]) -> tuple[str, str]:
    """Return how many files have which ending, and the option that reads the most frequent kind that may be text."""
    ranked = sorted(endings.items(), key=lambda one: (-one[1], one[0]))
    shown = [f"{ending or 'without ending'} {count:,}" for ending, count in ranked[:MOST_NAMED]]
    if len(ranked) > MOST_NAMED:
        shown.append(f"and {len(ranked) - MOST_NAMED} more")
    readable = next((ending for ending, _ in ranked if ending and _may_be_text(ending)), None)
    return ", ".join(shown), f"--glob '**/*{readable}' reads {readable}" if readable else "--glob PATTERN reads others"


def _may_be_text(ending: str) -> bool:
    kind, _, subtype = (guess_type(f"a{ending}")[0] or "text/").partition("/")
    return kind == "text" or subtype in {"json", "xml", "javascript", "x-sh", "x-tex", "x-latex"}


def _pattern_parts(glob: str) -> tuple[str, ...]:
    parts = PurePosixPath(glob).parts
    if not parts or ".." in parts or PurePosixPath(glob).is_absolute():
        raise ReadingError(f"--glob {glob!r} is not a pattern within a folder", hint="for example --glob '**/*.md'")
    return _folded(parts)


def _folded(parts: Sequence[str]) -> tuple[str, ...]:
    """Return names as they are compared: some systems store "é" as two characters."""
    return tuple(unicodedata.normalize("NFC", part).casefold() for part in parts)


def _walk(folder: Path, patterns: Sequence[Sequence[str]], unreadable: list[str]) -> Iterator[Path]:
    """Yield every file that can match; add the folders that cannot be listed to `unreadable`."""

    def note(error: OSError) -> None:
        unreadable.append(f"{Path(error.filename).relative_to(folder).as_posix()} ({error.strerror})")

    for parent, folders, files in os.walk(folder, onerror=note):
        folders[:] = [name for name in folders if _is_open(name, patterns)]
        yield from (Path(parent, name) for name in files if _is_open(name, patterns))


def _is_open(name: str, patterns: Sequence[Sequence[str]]) -> bool:
    """Tell whether a name is not hidden, or a part of a pattern names it."""
    (folded,) = _folded([name])
    return any(_part_matches(folded, part) for parts in patterns for part in parts if part != "**") or not _is_hidden(folded)


def _is_hidden(folded: str) -> bool:
    return folded.startswith(".") or folded in _SYSTEM_NAMES


def _part_matches(folded: str, part: str) -> bool:
    if _is_hidden(folded) and part[0] != folded[0]:
        return False
    return fnmatchcase(folded, part)


def _matches(parts: Sequence[str], pattern: Sequence[str]) -> bool:
    r"""Tell whether the parts of a path match those of a pattern, in which "**" stands for any number of folders.

    >>> _matches(("deep", "er", "a.txt"), ("**", "*.txt")), _matches(("deep", "a.txt"), ("*.txt",))
    (True, False)
    """
    if not pattern or not parts:
        return not parts and all(part == "**" for part in pattern)
    first, *rest = pattern
    if first == "**":
        return _matches(parts, rest) or (not _is_hidden(parts[0]) and _matches(parts[1:], pattern))
    return _part_matches(parts[0], first) and _matches(parts[1:], rest)

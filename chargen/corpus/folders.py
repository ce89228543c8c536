"""Find the text files of a folder by pattern, without hidden and system files."""

import os
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from mimetypes import guess_type
from pathlib import Path, PurePosixPath

from chargen.corpus.wording import MAX_NAMED, counted, listed
from chargen.errors import ReadingError

TEXT_PATTERNS = ("**/*.txt", "**/*.md")  # read without --glob

# Files that systems and programs leave in folders, in lower case. Names that begin with "." are hidden in any case.
_SYSTEM_NAMES = {"__macosx", "__pycache__", "thumbs.db", "desktop.ini", "$recycle.bin", "system volume information"}


@dataclass(frozen=True)
class Listing:
    """The matching files of a folder, in order.

    others: the number of files of other kinds by suffix. unreadable: folders that cannot be listed and broken links, each with
    the reason.
    """

    files: tuple[Path, ...]
    others: Counter[str]
    unreadable: tuple[str, ...] = ()


def list_folder(folder: Path, glob: str | None, *, everything: bool = False) -> Listing:
    """Return the files of a folder and its subfolders that match a pattern, sorted by path.

    Without a pattern these are .txt and .md files; the others are counted. Case is ignored. Hidden and system files, and those
    in hidden folders, match only a pattern that names them, as in a shell. Links to folders are not followed. With `everything`
    hidden files match too, and the pattern is case sensitive. Raises ReadingError for a pattern that leads out of the folder.
    """
    if everything and glob is not None:
        return Listing(_glob(folder, glob), Counter())
    patterns = [_Pattern(one, hidden=everything) for one in (TEXT_PATTERNS if glob is None else (glob,))]
    files: list[Path] = []
    others: Counter[str] = Counter()
    unreadable: list[str] = []
    for path in _walk(folder, patterns, unreadable):
        if any(pattern.matches(_folded(path.relative_to(folder).parts)) for pattern in patterns):
            if path.is_file():
                files.append(path)
            elif path.is_symlink():
                unreadable.append(f"{path.relative_to(folder).as_posix()} (a link to nothing)")
        elif glob is None:
            others[path.suffix.lower()] += 1
    return Listing(tuple(sorted(files)), others, tuple(sorted(unreadable)))


def _glob(folder: Path, glob: str) -> tuple[Path, ...]:
    """Return the files that match a pattern by the rules of the shell, hidden ones too."""
    try:
        return tuple(sorted(path for path in folder.glob(glob) if path.is_file()))
    except (ValueError, NotImplementedError) as error:
        raise _bad_pattern(glob) from error


def choose_names(names: Sequence[str], *, glob: str | None, others: Counter[str]) -> list[str]:
    """Return the files of an archive to read: the matching ones, or the only one that is not hidden.

    Files of other kinds are counted in `others`.
    """
    patterns = [_Pattern(one, hidden=False) for one in (TEXT_PATTERNS if glob is None else (glob,))]
    parts = {name: _inner_parts(name) for name in names}
    matching = [name for name in names if any(pattern.matches(parts[name]) for pattern in patterns)]
    shown = [name for name in names if parts[name] and not any(map(_is_hidden, parts[name]))]
    if glob is None and not matching and len(shown) == 1:
        return shown
    if glob is None:
        others.update(PurePosixPath(name).suffix.lower() for name in set(shown) - set(matching))
    return sorted(matching)


def _inner_parts(name: str) -> tuple[str, ...]:
    """Return the parts of a path in an archive as compared, without parts that lead out of it."""
    return _folded([part for part in PurePosixPath(name.replace("\\", "/")).parts if part not in ("/", "..")])


@dataclass
class LeftOut:
    """The files of a folder that are left out, by reason."""

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
            (self.copies, "copies of others (--folder-files all reads them)", ", "),
            (self.unreadable, "not readable", "; "),
        ]
        lines = [
            f"{counted(len(names), 'file')} left out, {why}: {listed(sorted(names), comma)}"
            for names, why, comma in reasons
            if names
        ]
        if self.others:
            kinds, hint = describe_kinds(self.others)
            lines.append(f"{counted(self.others.total(), 'file')} of other kinds left out: {kinds} ({hint})")
        return lines

    def nothing_to_read(self, folder: str, glob: str | None) -> ReadingError:
        """Return the error for a folder or an archive whose files are all left out."""
        if self.blank or self.copies or self.unreadable:
            why = "; ".join(self.describe()[:3])
            return ReadingError(
                f"no text to read in {folder}: {why}", hint="give other files, or choose other files of the folder with --glob"
            )
        if glob is not None:
            return ReadingError(
                f"no file in {folder} matches {glob}", hint="choose another pattern with --glob, such as '**/*.md'"
            )
        if not self.others:
            return ReadingError(
                f"no file in {folder}", hint="hidden and system files are not read; give a folder with .txt or .md files"
            )
        kinds, hint = describe_kinds(self.others)
        return ReadingError(f"no .txt or .md file in {folder}, only {kinds}", hint=hint)


def describe_kinds(endings: Counter[str]) -> tuple[str, str]:
    """Return the number of files by suffix, and the option that reads the most frequent suffix that may be text."""
    ranked = sorted(endings.items(), key=lambda one: (-one[1], one[0]))
    shown = [f"{ending or 'without ending'} {count:,}" for ending, count in ranked[:MAX_NAMED]]
    if len(ranked) > MAX_NAMED:
        shown.append(f"and {len(ranked) - MAX_NAMED} more")
    readable = next((ending for ending, _ in ranked if ending and _may_be_text(ending)), None)
    return ", ".join(shown), f"--glob '**/*{readable}' reads {readable}" if readable else "--glob PATTERN reads others"


def _may_be_text(ending: str) -> bool:
    kind, _, subtype = (guess_type(f"a{ending}")[0] or "text/").partition("/")
    return kind == "text" or subtype in {"json", "xml", "javascript", "x-sh", "x-tex", "x-latex"}


def _bad_pattern(glob: str) -> ReadingError:
    return ReadingError(f"--glob {glob!r} is not a pattern within a folder", hint="for example --glob '**/*.md'")


def _folded(parts: Sequence[str]) -> tuple[str, ...]:
    """Return names in a normal form for comparison: some systems store "é" as two characters."""
    return tuple(unicodedata.normalize("NFC", part).casefold() for part in parts)


def _is_hidden(folded: str) -> bool:
    return folded.startswith(".") or folded in _SYSTEM_NAMES


class _Pattern:
    r"""A pattern of paths within a folder; "**" stands for any number of folders; `hidden`: match hidden names too.

    >>> pattern = _Pattern("**/*.txt", hidden=False)
    >>> pattern.matches(("deep", "er", "a.txt")), pattern.matches((".git", "a.txt"))
    (True, False)
    """

    def __init__(self, glob: str, *, hidden: bool) -> None:
        parts = PurePosixPath(glob).parts
        if not parts or ".." in parts or PurePosixPath(glob).is_absolute():
            raise _bad_pattern(glob)
        self._parts, self._hidden = _folded(parts), hidden

    def matches(self, parts: Sequence[str]) -> bool:
        """Return whether the parts of a path, normalised by `_folded`, match."""
        return self._match(parts, self._parts)

    def may_enter(self, folded: str) -> bool:
        """Return whether a file or folder of that name can match: it is not hidden, or the pattern names it."""
        return self._is_open(folded) or any(self._matches_part(folded, part) for part in self._parts if part != "**")

    def _is_open(self, folded: str) -> bool:
        return self._hidden or not _is_hidden(folded)

    def _matches_part(self, folded: str, part: str) -> bool:
        return fnmatchcase(folded, part) and (self._is_open(folded) or part[0] == folded[0])

    def _match(self, parts: Sequence[str], pattern: Sequence[str]) -> bool:
        if not pattern or not parts:
            return not parts and all(part == "**" for part in pattern)
        first, *rest = pattern
        if first == "**":
            return self._match(parts, rest) or (self._is_open(parts[0]) and self._match(parts[1:], pattern))
        return self._matches_part(parts[0], first) and self._match(parts[1:], rest)


def _walk(folder: Path, patterns: Sequence[_Pattern], unreadable: list[str]) -> Iterator[Path]:
    """Yield every file that may match; add folders that cannot be listed to `unreadable`."""

    def note(error: OSError) -> None:
        unreadable.append(f"{Path(error.filename).relative_to(folder).as_posix()} ({error.strerror})")

    def may_enter(name: str) -> bool:
        (folded,) = _folded([name])
        return any(pattern.may_enter(folded) for pattern in patterns)

    for parent, folders, files in os.walk(folder, onerror=note):
        folders[:] = filter(may_enter, folders)
        yield from (Path(parent, name) for name in filter(may_enter, files))

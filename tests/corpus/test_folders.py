"""Which files of a folder are read, and what is reported about the others."""

import os
from collections import Counter
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest
from click.testing import Result

from chargen.corpus.corpus import load_corpus
from chargen.corpus.folders import describe_kinds, list_folder
from chargen.corpus.large_text import LargeText
from chargen.corpus.reading import Copies, SourceText, read_sources
from chargen.errors import CorpusError, ReadingError
from chargen.network.model_file import TextModel
from chargen.runs.directory import RunDirectory
from chargen.runs.trained_text import find_text
from chargen.settings.schema import CorpusConfig

Invoke = Callable[..., Result]
Fill = Callable[..., Path]


@pytest.fixture
def fill(in_folder: Path) -> Fill:
    """Make a folder of files: names, or names with content."""

    def make(*names: str, **contents: bytes) -> Path:
        for name, content in {name: f"text of {name}".encode() for name in names}.items() | contents.items():
            path = in_folder / "songs" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        return Path("songs")

    return make


def names(folder: Path, glob: str | None = None) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in list_folder(folder, glob).files]


def test_texts_are_found_in_any_case_and_depth(fill: Fill) -> None:
    assert names(fill("b.txt", "deep/er/A.TXT", "deep/c.Txt", "README.md", "D.Md")) == [
        *("D.Md", "README.md", "b.txt", "deep/c.Txt", "deep/er/A.TXT"),
    ]


@pytest.mark.parametrize(
    "name",
    [
        *(".hidden.txt", ".git/a.txt", "deep/.ipynb_checkpoints/a.txt", "__MACOSX/._a.txt", "__MACOSX/a.txt", "._a.txt"),
        *("__pycache__/a.txt", "$RECYCLE.BIN/a.txt"),
    ],
)
def test_hidden_and_system_files_are_not_read(name: str, fill: Fill) -> None:
    folder = fill("a.txt", name)
    listing = list_folder(folder, None)
    assert [path.name for path in listing.files] == ["a.txt"]
    assert not listing.others
    assert names(folder, "**/*") == ["a.txt"]


@pytest.mark.parametrize("name", ["Thumbs.db", "desktop.ini", ".DS_Store"])
def test_system_files_are_not_counted(name: str, fill: Fill) -> None:
    assert not list_folder(fill("a.txt", name), None).others


@pytest.mark.parametrize("inside", [".hidden", "."])
def test_a_hidden_folder_is_read_if_it_is_named(inside: str, fill: Fill, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = fill(".hidden/a.txt", ".hidden/.b.txt").absolute()
    monkeypatch.chdir(folder / ".hidden")
    assert names(folder / ".hidden" if inside == ".hidden" else Path(), None) == ["a.txt"]


@pytest.mark.parametrize(
    ("glob", "found"),
    [
        ("*.txt", ["A.TXT", "a.txt"]),
        ("**/*.txt", ["A.TXT", "a.txt", "x/b.txt", "x/y/c.txt"]),
        ("X/**", ["x/b.txt", "x/d.py", "x/y/c.txt"]),
        ("**/Y/*", ["x/y/c.txt"]),
        ("x/[bd].*", ["x/b.txt", "x/d.py"]),
        ("**", ["A.TXT", "a.txt", "x/b.txt", "x/d.py", "x/y/c.txt"]),
        (".h/*.txt", [".h/e.txt"]),
        ("**/.h/*", [".h/e.txt"]),
        ("*/?.py", ["x/d.py"]),
        ("*.py", []),
    ],
)
def test_patterns(glob: str, found: list[str], fill: Fill) -> None:
    assert names(fill("a.txt", "A.TXT", "x/b.txt", "x/y/c.txt", "x/d.py", ".h/e.txt"), glob) == found


@pytest.mark.parametrize("glob", ["/etc/*", "../*.txt", "a/../../b", ""])
def test_patterns_that_lead_out_of_the_folder_are_refused(glob: str, fill: Fill) -> None:
    with pytest.raises(ReadingError, match="not a pattern within a folder"):
        list_folder(fill("a.txt"), glob)


def test_a_name_is_found_however_its_accents_are_stored(fill: Fill) -> None:
    assert names(fill("cafe\u0301.txt"), "caf\u00e9.txt") == ["cafe\u0301.txt"]


def test_links_to_folders_are_not_followed_and_broken_ones_are_named(fill: Fill) -> None:
    folder = fill("a.txt")
    (folder / "again").symlink_to(folder.absolute(), target_is_directory=True)
    (folder / "gone.txt").symlink_to("nowhere.txt")
    os.mkfifo(folder / "pipe.txt")
    (source,) = read_sources(["songs"])
    assert source.notes == ("songs: 1 file", "songs: 1 file left out, not readable: gone.txt (a link to nothing)")


def test_other_kinds_are_counted(fill: Fill) -> None:
    folder = fill("a.txt", *(f"{one}.py" for one in range(9)), "x.csv", "y.CSV", "z/z.csv", "Makefile")
    (source,) = read_sources(["songs"])
    assert source.notes[1] == (
        "songs: 13 files of other kinds left out: .py 9, .csv 3, without ending 1 (--glob '**/*.py' reads .py)"
    )
    assert len(read_sources(["songs"], glob="**/*.csv")) == 3
    assert "other kinds" not in str([source.notes for source in read_sources(["songs"], glob="**/*.csv")])
    assert list_folder(folder, "*.txt").others == {}


def test_many_kinds_are_not_all_named_and_no_picture_is_proposed() -> None:
    kinds, hint = describe_kinds(Counter({".jpg": 90, ".a": 1, ".b": 1, ".c": 1, ".d": 1, ".e": 1, ".f": 1}))
    assert kinds == ".jpg 90, .a 1, .b 1, .c 1, .d 1, and 2 more"
    assert ".jpg" not in hint


def test_files_without_text_are_left_out_with_one_note(fill: Fill) -> None:
    fill("a.txt", **{"s4.txt": b"", "deep/s5.txt": b" \r\n\t\n", "mark.txt": b"\xef\xbb\xbf"})
    (source,) = read_sources(["songs"])
    assert source.notes == ("songs: 1 file", "songs: 3 files left out, empty or blank: deep/s5.txt, mark.txt, s4.txt")
    assert read_sources(["songs"], encoding=None)[0].notes[1] == "songs: 2 files left out, empty or blank: deep/s5.txt, s4.txt"
    with pytest.raises(CorpusError, match=r"^s4\.txt is empty"):
        read_sources(["songs", "songs/s4.txt"])
    with pytest.raises(CorpusError, match=r"^songs/s4\.txt is empty"):
        read_sources(["songs/deep/s5.txt", "songs/s4.txt", "songs/deep/s4.txt"])


def test_only_some_of_many_names_are_told(fill: Fill) -> None:
    fill("a.txt", **{f"{number:02}.txt": b"" for number in range(12)})
    assert read_sources(["songs"])[0].notes[1].endswith(": 00.txt, 01.txt, 02.txt, 03.txt, 04.txt and 7 more")


def test_copies_are_read_once(fill: Fill) -> None:
    fill("c.txt", **{"a.txt": b"one\n", "b/a.txt": b"one\r\n", "d.txt": b"\xef\xbb\xbfone\n"})
    first, second = read_sources(["songs"])
    assert (first.name, second.name) == ("a.txt", "c.txt")
    assert first.notes == (
        "songs: 2 files",
        "songs: 2 files left out, copies of others (--folder-files all reads them): b/a.txt (of a.txt), d.txt (of a.txt)",
    )


def test_a_file_that_was_named_is_read_even_if_it_is_a_copy(fill: Fill) -> None:
    fill("a.txt", "b.txt")
    assert [source.name for source in read_sources(["songs/a.txt", "songs", "songs/a.txt"])] == [
        *("songs/a.txt", "b.txt", "songs/a.txt"),
    ]


def test_copies_under_other_labels_are_kept(fill: Fill) -> None:
    fill("c/c.txt", **{"a/1.txt": b"yes", "a/2.txt": b"yes", "b/1.txt": b"yes"})
    labelled = load_corpus(CorpusConfig(files=("songs",), label_by="folder"))
    assert [one.label for one in labelled.documents] == ["a", "b", "c"]
    assert len(load_corpus(CorpusConfig(files=("songs",))).documents) == 2


def test_copies_of_large_texts_are_found() -> None:
    copies = Copies([SourceText("first", LargeText(["so", "ng"]))], None)
    assert copies.original(SourceText("second", LargeText(["song"]))) == "first"
    assert copies.original(SourceText("third", LargeText(["songs"]))) is None


def test_what_is_no_text_is_left_out_and_named(fill: Fill) -> None:
    fill("a.txt", **{"b.txt": b"PK\0\0\1\2"})
    (source,) = read_sources(["songs"])
    assert source.notes[1] == "songs: 1 file left out, not readable: b.txt is not text: byte 2 is zero"
    assert len(read_sources(["songs"], encoding=None)) == 2


def test_a_file_that_is_not_in_the_given_encoding_is_an_error(fill: Fill) -> None:
    fill("a.txt", **{"deep/b.txt": b"\xff"})
    with pytest.raises(CorpusError, match=r"^deep/b\.txt is not utf-8 text at byte 0"):
        read_sources(["songs"], encoding="utf-8")
    with pytest.raises(CorpusError, match="unknown encoding 'utf-9'"):
        read_sources(["songs"], encoding="utf-9")


def test_a_file_that_cannot_be_opened_is_left_out_and_named(fill: Fill, monkeypatch: pytest.MonkeyPatch) -> None:
    fill("a.txt", "deep/b.txt")
    whole = Path.read_bytes

    def refuse(path: Path) -> bytes:
        if path.name == "b.txt":
            raise PermissionError(13, "Permission denied")
        return whole(path)

    monkeypatch.setattr(Path, "read_bytes", refuse)
    (source,) = read_sources(["songs"])
    assert source.notes[1] == "songs: 1 file left out, not readable: cannot read deep/b.txt: Permission denied"


def test_a_folder_that_cannot_be_listed_is_named(fill: Fill, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = fill("a.txt", "locked/b.txt")
    scan = os.scandir

    def refuse(path: str) -> object:
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    listing = list_folder(folder, None)
    assert [path.name for path in listing.files] == ["a.txt"]
    assert listing.unreadable == ("locked (Permission denied)",)


def test_a_file_name_that_is_not_utf_8(fill: Fill) -> None:
    fill("b.txt", **{os.fsdecode(b"caf\xe9.txt"): b"one"})
    assert [source.name for source in read_sources(["songs"])] == ["b.txt", "caf\ufffd.txt"]


@pytest.mark.parametrize(
    ("contents", "glob", "message"),
    [
        ({}, [], "no file in songs"),
        ({"a.py": b"x", "b.py": b"y"}, [], "no .txt or .md file in songs, only .py 2; --glob '**/*.py' reads .py"),
        ({"a.txt": b"x"}, ["--glob", "*.md"], "no file in songs matches *.md"),
        ({"a.txt": b"", "b.txt": b"\0"}, [], "no text to read in songs: 1 file left out, empty or blank: a.txt; 1 file"),
    ],
    ids=["nothing", "other kinds", "no match", "no text"],
)
def test_a_folder_without_a_text_is_refused(
    contents: dict[str, bytes], glob: list[str], message: str, fill: Fill, invoke: Invoke, in_folder: Path
) -> None:
    fill(**contents)
    (in_folder / "songs").mkdir(exist_ok=True)
    result = invoke("train", "songs", *glob)
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1)
    assert message in result.stderr


def test_a_command_tells_what_is_read(fill: Fill, invoke: Invoke) -> None:
    fill("one.txt", "TWO.TXT", "three.Txt", **{"__MACOSX/._one.txt": b"\0\5", "empty.txt": b"", "a.py": b"pass"})
    result = invoke("train", "songs", "--dry-run", "--context-length", 5)
    assert result.exit_code == 0, result.stderr
    assert result.stderr.splitlines()[:3] == [
        "songs: 3 files",
        "songs: 1 file left out, empty or blank: empty.txt",
        "songs: 1 file of other kinds left out: .py 1 (--glob '**/*.py' reads .py)",
    ]


def test_all_files_of_a_folder_can_be_read(fill: Fill) -> None:
    fill(
        "a.txt",
        "A.TXT",
        "README.MD",
        ".git/h.txt",
        "__MACOSX/m.txt",
        **{"b.txt": b"text of a.txt", "c.txt": b" ", "d.txt": b""},
    )
    found = read_sources(["songs"], everything=True)
    assert [one.name for one in found] == [".git/h.txt", "A.TXT", "README.MD", "__MACOSX/m.txt", "a.txt", "b.txt", "c.txt"]
    assert found[0].notes == ("songs: 7 files", "songs: 1 file left out, empty or blank: d.txt")
    as_written = read_sources(["songs"], glob="**/*.txt", everything=True)
    assert [one.name for one in as_written] == [".git/h.txt", "__MACOSX/m.txt", "a.txt", "b.txt", "c.txt"]
    with pytest.raises(ReadingError, match="not a pattern within a folder"):
        read_sources(["songs"], glob="/etc/*", everything=True)


def test_an_older_run_reads_its_folder_as_it_did(fill: Fill, in_folder: Path, random_model: Callable[..., TextModel]) -> None:
    fill("a.txt", ".git/h.txt", "notes.md", **{"b.txt": b"text of a.txt", "c.txt": b" \n"})
    run = RunDirectory(in_folder / "run")
    run.path.mkdir()
    run.config.write_text('[corpus]\nfiles = ["songs"]\nglob = "**/*.txt"\n', encoding="utf-8")
    texts = b"".join(one + b"\xff" for one in (b"text of .git/h.txt", b"text of a.txt", b"text of a.txt", b" \n"))
    found = find_text(run, sha256(texts).hexdigest())
    assert [source.name for _, source in found.parts] == [".git/h.txt", "a.txt", "b.txt", "c.txt"]

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from chargen.corpus.corpus import Corpus, load_corpus
from chargen.errors import ConfigError, CorpusError
from chargen.settings.schema import CorpusConfig

NAMES = "".join(f"{name}\n" for name in ("Ada", "Mary Ann", "Jean-Luc", "O'Neil", "Zoë") * 6)
PROSE = "It was late, and the river was high.\nNobody had seen the ferryman since noon.\n" * 12
CODE = "def area(radius):\n    return 3.14 * radius ** 2\n\nprint(area(2))\n" * 9
DIALOGUE = "ANNA:\nWho goes there?\n\nBORIS:\nOnly the wind, my lady.\n\n" * 9


def load(folder: Path, *texts: str, stateful: bool = False, **options: Any) -> Corpus:
    names = [f"{number}.txt" for number in range(len(texts))]
    for name, text in zip(names, texts, strict=True):
        (folder / name).write_text(text, encoding="utf-8")
    return load_corpus(CorpusConfig(files=tuple(names), **options), stateful=stateful)


def test_lines_of_a_list_are_documents_and_a_note_shows_some(in_folder: Path) -> None:
    corpus = load(in_folder, NAMES + "\n  \n")
    assert corpus.reading == "line"
    assert tuple(corpus.texts)[:2] == ("Ada", "Mary Ann")
    assert len(corpus.documents) == 30
    assert corpus.notes == (
        "a list of names or titles, 30 lines such as 'Mary Ann', 'Jean-Luc': each line is one document "
        "(--document reads the text as a whole)",
    )


@pytest.mark.parametrize("text", [PROSE, CODE, DIALOGUE], ids=["prose", "code", "dialogue"])
def test_running_text_is_one_document(text: str, in_folder: Path) -> None:
    corpus = load(in_folder, text)
    assert (corpus.reading, tuple(corpus.texts)) == ("document", (text,))


def test_a_note_tells_of_short_lines_that_are_read_as_one_document(in_folder: Path) -> None:
    corpus = load(in_folder, "Ada\nBess\nCarl\nDora\nEwan\n")
    assert corpus.reading == "document"
    assert corpus.notes == ("5 short lines, read as one document (--per-line makes each line a document), such as 'Ada'",)
    assert load(in_folder, PROSE).notes == ()


def test_reading_can_be_chosen(in_folder: Path) -> None:
    assert tuple(load(in_folder, NAMES, reading="document").texts) == (NAMES,)
    assert tuple(load(in_folder, PROSE, reading="line").texts)[1] == "Nobody had seen the ferryman since noon."
    assert tuple(load(in_folder, NAMES, stateful=True).texts) == (NAMES,)


def test_files_are_judged_each_by_itself(in_folder: Path) -> None:
    readme = "These names were made up for a test. Do with them as you please.\n"
    corpus = load(in_folder, NAMES, readme, NAMES)
    assert corpus.reading == "line"
    assert corpus.file_readings == ("line", "document", "line")
    assert len(corpus.documents) == 61
    assert readme in corpus.texts
    assert corpus.notes == (
        "0.txt, 2.txt: 2 lists of names or titles, 60 lines such as 'Mary Ann', 'Jean-Luc': each line is one document "
        "(--document reads each file as a whole)",
        "1.txt: read as a whole, one document for each file (--file-reading chooses for each file)",
    )
    assert load(in_folder, NAMES, PROSE).reading == "document"
    assert len(load(in_folder, NAMES, PROSE).documents) == 31


def test_a_short_list_among_lists_is_one(in_folder: Path) -> None:
    corpus = load(in_folder, NAMES, "Ada\nBess\n")
    assert (corpus.reading, len(corpus.documents)) == ("line", 32)


@pytest.mark.parametrize("texts", [[NAMES], [PROSE], [NAMES, PROSE], [PROSE, "Ada\n", NAMES * 20]])
def test_what_is_recorded_cuts_the_same_texts_in_the_same_way(texts: list[str], in_folder: Path) -> None:
    corpus = load(in_folder, *texts)
    again = load(in_folder, *texts, **corpus.recorded)
    assert again == replace(corpus, notes=())
    assert bool(corpus.recorded["file_readings"]) == (len(set(corpus.file_readings)) > 1)


@pytest.mark.parametrize("text", [PROSE, "\n%\n".join([PROSE] * 9)], ids=["prose", "separated"])
def test_a_run_that_chose_to_carry_the_state_is_read_again_as_it_was(text: str, in_folder: Path) -> None:
    """The recipe chooses `training.stateful` after the text is cut, and stores it in the run's settings."""
    corpus = load(in_folder, text)
    assert load(in_folder, text, stateful=True, **corpus.recorded) == replace(corpus, notes=())


def test_the_reading_of_each_file_can_be_chosen(in_folder: Path) -> None:
    assert load(in_folder, PROSE, NAMES, file_readings=("line", "document")).file_readings == ("line", "document")
    with pytest.raises(ConfigError, match="--file-reading is given 1 times for 2 files"):
        load(in_folder, PROSE, NAMES, file_readings=("line",))


def test_every_file_is_a_document(in_folder: Path) -> None:
    corpus = load(in_folder, PROSE, CODE, "\n")
    assert tuple(corpus.texts) == (PROSE, CODE)
    assert (corpus.name, corpus.reading) == ("0+2", "document")


@pytest.mark.parametrize("text", ["x", " \n\n", "x\n"])
def test_too_little_text_is_refused(text: str, in_folder: Path) -> None:
    if text == "x\n":
        assert load(in_folder, text).num_characters == 2
        return
    with pytest.raises(CorpusError, match="two characters or more"):
        load(in_folder, text)


def test_the_digest_tells_apart_what_the_texts_together_do_not(in_folder: Path) -> None:
    digests = {load(in_folder, *texts).sha256 for texts in (["ab", "cd"], ["abc", "d"], ["abcd"], ["cd", "ab"])}
    assert len(digests) == 4
    assert load(in_folder, "ab", "cd").sha256 == load(in_folder, "ab", "cd").sha256


def test_the_parts_of_a_mix_are_told_apart(in_folder: Path) -> None:
    for name in ("a.txt", "b:1.txt"):
        (in_folder / name).write_text(PROSE, encoding="utf-8")
    mixed = load_corpus(CorpusConfig(mix=("a.txt:3", "b:1.txt:0.5")))
    assert [document.part for document in mixed.documents] == [0, 1]
    assert mixed.proportions == (3, 0.5)


@pytest.mark.parametrize("given", ["a.txt", "a.txt:", ":3", "a.txt:x", "a.txt:0", "a.txt:-1", "a.txt:inf", "a.txt:nan"])
def test_what_is_no_mix_is_refused(given: str) -> None:
    with pytest.raises(ConfigError, match="expected PATH:WEIGHT"):
        load_corpus(CorpusConfig(mix=(given,)))


def test_files_beside_a_mix_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"files are given twice: a\.txt and --mix b\.txt:1"):
        load_corpus(CorpusConfig(files=("a.txt",), mix=("b.txt:1",)))


def test_one_label_is_none(in_folder: Path) -> None:
    with pytest.raises(CorpusError, match="all documents have the label '0'"):
        load(in_folder, PROSE, label_by="file")


@pytest.mark.parametrize(
    ("name", "text", "unit"),
    [("a.txt", NAMES, "line"), ("a.txt", PROSE, "document"), ("a.csv", "text,n\n" + "It rains.,1\nIt pours.,2\n" * 9, "row")],
)
def test_documents_are_called_what_they_are(name: str, text: str, unit: str, in_folder: Path) -> None:
    (in_folder / name).write_text(text, encoding="utf-8")
    assert load_corpus(CorpusConfig(files=(name,))).unit == unit


def test_long_lines_are_shortened_in_notes(in_folder: Path) -> None:
    titles = "".join(f"The Long and Winding History of Number {number:03} and of Its Many Friends\n" for number in range(20))
    (note,) = load(in_folder, titles, separator="none").notes
    (shown,) = set(re.findall(r"'(The Long and Winding [^']*)'", note)[:1])
    assert shown.endswith("...")
    assert len(shown) <= 40

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargen.corpus import large_text
from chargen.corpus.corpus import load_corpus
from chargen.corpus.large_text import LargeText
from chargen.corpus.licence import strip_licence
from chargen.settings.schema import CorpusConfig

BOOK = "CHAPTER I\n\nThe ferryman had tied up his boat before noon, and nobody saw him go.\n" * 60
HEADER = """The Project Gutenberg EBook of The Ferryman, by A. Nobody

This eBook is for the use of anyone anywhere at no cost and with
almost no restrictions whatsoever.

Title: The Ferryman
Author: A. Nobody
Release Date: May, 1999 [EBook #99]
Language: English

"""
SECTION = (
    "1.{0}. You may charge a fee for copies of or access to Project Gutenberg electronic works only where this agreement "
    "is kept. THE TRADEMARK AND ANY DISTRIBUTOR DISCLAIM ALL WARRANTIES and liability; a refund may be asked for in writing.\n"
)
LICENCE = "Updated editions replace the previous one.\n\nSTART: FULL LICENSE\n" + "".join(map(SECTION.format, range(60)))
CREDITS = "Produced by Some Volunteers\n\n"

ESSAY = (
    "Whoever wants to count words in old novels soon meets the lines between which a book stands. They are easy to find, and "
    "the rest is for a lawyer. I begin with what a file looks like and come to the code after that.\n\n"
) * 12
ABOUT_EBOOKS = (
    "Project Gutenberg puts a header before each of its ebooks and a licence after it. A program that learns to write should "
    "see neither. The license is long, and it repeats the name of the trademark in every other line, so a network that reads "
    "a dozen books has met it more often than any of their heroes. Cleaning is easy where the markers are regular. In old "
    "etexts they are not, and a list of what volunteers have typed over thirty years is the best that one can do.\n\n"
) * 8


def book(
    start: str = "*** START OF THE PROJECT GUTENBERG EBOOK THE FERRYMAN ***\n",
    end: str = "*** END OF THE PROJECT GUTENBERG EBOOK THE FERRYMAN ***\n",
    *,
    header: str = HEADER,
    licence: str = LICENCE,
) -> str:
    return header + start + CREDITS + BOOK + end + licence


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("*** START OF THE PROJECT GUTENBERG EBOOK 99 ***\n", "*** END OF THE PROJECT GUTENBERG EBOOK 99 ***\n"),
        ("*** START OF THIS PROJECT GUTENBERG EBOOK EMMA ***\n", "*** END OF THIS PROJECT GUTENBERG EBOOK EMMA ***\n"),
        ("***START OF THE PROJECT GUTENBERG EBOOK EMMA***\n", "***END OF THE PROJECT GUTENBERG EBOOK EMMA***\n"),
        (
            "*** START OF THE COPYRIGHTED PROJECT GUTENBERG EBOOK, EMMA\n",
            "*** END OF THE COPYRIGHTED PROJECT GUTENBERG EBOOK\n",
        ),
        (
            "*** START OF THE PROJECT GUTENBERG EBOOK A LONG\nTITLE, IN TWO LINES ***\n",
            "*** END OF THE PROJECT GUTENBERG\nEBOOK X ***",
        ),
        ("*** START OF THE EXAMPLE EBOOK ***\n", "*** END OF THE EXAMPLE EBOOK ***\n"),
        ("*** Start of this Etext ***\n", "*** End of this Etext ***\n"),
        ("*END*THE SMALL PRINT! FOR PUBLIC DOMAIN ETEXTS*Ver.04.29.93*END*\n", "End of Project Gutenberg's Etext of Emma\n"),
        ("*END THE SMALL PRINT! FOR PUBLIC DOMAIN EBOOKS*Ver.02/11/02*END*\n", "End of The Project Gutenberg Etext of Emma\n"),
        (
            "*** START OF THIS PROJECT GUTENBERG EBOOK EMMA ***\n",
            "End of the Project Gutenberg EBook of Emma,\nby Jane Austen\n\n*** END OF THIS PROJECT GUTENBERG EBOOK EMMA ***\n",
        ),
        (
            "***START OF THE PROJECT GUTENBERG ETEXT EMMA***\n" + SECTION * 30 + "*END*THE SMALL PRINT!*END*\n",
            "        ***END OF THE PROJECT GUTENBERG ETEXT EMMA***\n***** This file should be named 99.txt *****\n",
        ),
    ],
)
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_header_and_licence_are_left_out(start: str, end: str, line_end: str) -> None:
    text = book(start, end).replace("\n", line_end)
    assert strip_licence(text) == (CREDITS + BOOK).replace("\n", line_end)
    large = strip_licence(LargeText([text[:999], text[999:]]))
    assert isinstance(large, LargeText)
    assert str(large) == strip_licence(text)


@pytest.mark.parametrize("size", [977, 1009, 2500])
def test_marks_are_found_wherever_a_large_text_is_cut(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(large_text, "BLOCK", size)
    assert str(strip_licence(LargeText([book() + book()]))) == (CREDITS + BOOK) * 2


@pytest.mark.parametrize("books", [2, 5])
def test_several_books_in_one_file(books: int) -> None:
    assert strip_licence("\n\n".join([book()] * books)) == (CREDITS + BOOK) * books
    bare = "\n".join([book(licence="", header="")] * books)
    assert strip_licence(bare) == (CREDITS + BOOK) * books


def test_a_file_that_is_cut_at_one_end() -> None:
    whole = book()
    assert strip_licence(whole[: whole.index("CHAPTER") + 4000]) == CREDITS + BOOK[:4000]
    assert strip_licence(whole[whole.index("CHAPTER") :]) == BOOK
    assert strip_licence(whole[: whole.index("START: FULL") + 900]) == CREDITS + BOOK
    assert strip_licence(whole[whole.index("Language") :]) == CREDITS + BOOK


def test_short_books_have_licences_that_are_longer() -> None:
    assert (
        strip_licence(book().replace(BOOK, "Four score and seven years ago.\n"))
        == CREDITS + "Four score and seven years ago.\n"
    )


def test_notices_of_any_words_around_a_book_that_is_much_longer() -> None:
    notice = "Typed by my aunt, who asks you to read it slowly.\n"
    assert strip_licence(book(header=notice, licence=notice * 20)) == CREDITS + BOOK
    assert strip_licence(book(header=notice, licence=notice * 40)).endswith(notice * 40)


@pytest.mark.parametrize(
    "text",
    [
        BOOK,
        "",
        ESSAY + "*** START OF THE PROJECT GUTENBERG EBOOK EMMA ***\n" + ESSAY,
        ESSAY + "*** END OF THE PROJECT GUTENBERG EBOOK EMMA ***\n" + ESSAY,
        ESSAY + "*** START OF THIS EBOOK ***\n...\n*** END OF THIS EBOOK ***\n" + ESSAY,
        ESSAY + "End of Project Gutenberg's Emma\n" + ESSAY,
        ABOUT_EBOOKS + "*** START OF THE PROJECT GUTENBERG EBOOK EMMA ***\n" + ABOUT_EBOOKS,
        ABOUT_EBOOKS + "*** END OF THE PROJECT GUTENBERG EBOOK EMMA ***\n" + ABOUT_EBOOKS,
        ABOUT_EBOOKS + "*** START OF THIS EBOOK ***\n...\n*** END OF THIS EBOOK ***\n" + ABOUT_EBOOKS,
        ESSAY + "A line says *** START OF THE PROJECT GUTENBERG EBOOK EMMA ***\n" + ESSAY,
        HEADER + "> *** START OF THE PROJECT GUTENBERG EBOOK EMMA ***\n" + ESSAY,
        "*** START OF LOG ***\n" + "all is well\n" * 99 + "*** END OF LOG ***\n",
        BOOK + "*** END OF PART ONE ***\n" + BOOK,
        "* * *\n***\n" * 99,
        LICENCE,
        HEADER + "*** START OF THE PROJECT GUTENBERG EBOOK EMMA ***\n",
    ],
)
def test_other_texts_stay_as_they_are(text: str) -> None:
    assert strip_licence(text) is text


LINES = st.sampled_from(
    [
        "*** START OF THE PROJECT GUTENBERG EBOOK A ***",
        "*** END OF THE PROJECT GUTENBERG EBOOK A ***",
        "*END*THE SMALL PRINT! ETEXT*END*",
        "End of Project Gutenberg's A",
        "Title: a licensed ebook, copyright of the foundation",
        "It was late.",
        "",
    ]
)


@given(st.lists(LINES, max_size=12))
def test_whole_lines_are_left_out_and_nothing_is_put_in(lines: list[str]) -> None:
    text = "".join(f"{line}\n" for line in lines)
    left = iter(lines)
    assert all(line in left for line in strip_licence(text).splitlines())


def test_a_corpus_says_what_was_left_out(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(book(), encoding="utf-8")
    (tmp_path / "b.txt").write_text(book().replace("ferryman", "fisherman").replace("\n", "\r\n"), encoding="utf-8", newline="")
    (tmp_path / "c.txt").write_text("A room of her own.\n" + BOOK, encoding="utf-8")
    one = load_corpus(CorpusConfig(files=(str(tmp_path / "a.txt"),)))
    left_out = len(book()) - len(CREDITS + BOOK)
    assert tuple(one.texts) == (CREDITS + BOOK,)
    assert f"a.txt: header and licence left out, {left_out:,} characters (--no-strip-licence keeps them)" in one.notes
    folder = load_corpus(CorpusConfig(files=(str(tmp_path),), reading="document"))
    assert next(iter(folder.texts)) == CREDITS + BOOK
    assert any(note.startswith(f"2 texts: header and licence left out, {2 * left_out:,} characters") for note in folder.notes)
    kept = load_corpus(CorpusConfig(files=(str(tmp_path / "a.txt"),), strip_licence=False, reading="document"))
    assert (tuple(kept.texts), kept.sha256, kept.notes) == ((book(),), one.sha256, ())

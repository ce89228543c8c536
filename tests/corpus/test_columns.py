import pytest

from chargen.corpus.formats.columns import MAX_HEADER_CHARACTERS, find_named, find_text_column, is_header
from chargen.corpus.formats.delimited import MIN_ROWS, is_delimited

ROWS = [["Ada", "1815"], ["Grace", "1906"]]


@pytest.mark.parametrize(
    ("first", "rows", "expected"),
    [
        (["who", "born"], ROWS, True),
        (["Ada", "1815"], ROWS, False),
        (["text", "1900"], ROWS, True),  # a usual name
        (["text", "1815"], ROWS, False),  # a cell of its column
        (["text", "text"], ROWS, False),  # one name twice
        (["", ""], ROWS, False),
        (["text", "x" * MAX_HEADER_CHARACTERS], ROWS, True),
        (["text", "x" * (MAX_HEADER_CHARACTERS + 1)], ROWS, False),
        (["text", "two\nlines"], ROWS, False),
        (["who", "1815"], ROWS, False),  # a name that is a number
        (["who", "Grace"], [["Ada", "Bess"]], False),
        (["who", "known_for"], [["Ada L.", "the first program"]], True),
        (["who", "known_for"], [["ada", "program"]], False),  # cells like names
        (["born"], [["1815"]], False),
        (["who", "born"], [], False),
    ],
)
def test_the_first_row_names_columns_or_not(first: list[str], rows: list[list[str]], expected: bool) -> None:
    assert is_header(first, rows) == expected


def test_a_name_that_was_asked_for_tells_a_header() -> None:
    assert is_header(["Ada", "Grace"], ROWS, ["ada"])
    assert not is_header(["Ada", "1815"], ROWS, ["2"])


@pytest.mark.parametrize(
    ("requested", "place"), [("Text", 1), ("created at", 0), ("2", 1), ("3", None), ("0", None), ("body", None)]
)
def test_columns_are_found_by_name_or_number(requested: str, place: int | None) -> None:
    assert find_named(requested, ["created_at", "tweet.text"]) == place


def test_a_part_of_two_names_names_none() -> None:
    assert find_named("text", ["tweet.text", "reply.text"]) is None


def test_a_table_of_numbers_has_no_texts() -> None:
    assert find_text_column(["a", "b"], [["1", "2.5"], ["3", "4.5"]]) is None
    assert find_text_column(["a"], [["1"]]) == 0
    assert find_text_column(["a"], []) == 0


def test_a_text_that_does_not_call_itself_a_table_has_rows_enough() -> None:
    lines = ["id,text,likes\n", *(f"{number},a text of its own,{number}\n" for number in range(MIN_ROWS))]
    assert is_delimited(lines[:MIN_ROWS], hinted=False)
    assert not is_delimited(lines[: MIN_ROWS - 1], hinted=False)
    assert is_delimited(lines[:2], hinted=True)
    assert not is_delimited(lines[:1], hinted=True)
    assert not is_delimited([line.partition(",")[2] for line in lines], hinted=False)  # two columns

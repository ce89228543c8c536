"""Find the text column and the label column of a table, and whether the first row is a header."""

import re
from collections import Counter
from collections.abc import Sequence

SHORT_COLUMNS = ("headline", "title", "subject", "name")  # of text columns, unless another column has much longer texts
# Usual names, the likeliest first.
TEXT_COLUMNS = (
    *("text", "full_text", "content", "contents", "body", "review", "tweet", "message", "comment", "post", "selftext"),
    *("sentence", "utterance", "article", "document", "story", "poem", "lyrics", "quote", "joke", "dialogue", "transcript"),
    *("description", "summary", "abstract", "caption", "question", "answer"),
    *SHORT_COLUMNS,
)
LABEL_COLUMNS = (
    *("label", "sentiment", "class", "category", "target", "polarity", "emotion", "intent", "topic", "genre", "rating"),
    *("stars", "score", "language", "lang", "author", "speaker"),
)
SPEAKER_COLUMNS = (
    *("speaker", "author", "sender", "from", "user", "username", "user_name", "screen_name", "name", "character", "player"),
    *("role", "nickname", "user.name", "user.screen_name", "author.name"),
)
OTHER_COLUMNS = (  # used only to recognise a header
    *("id", "index", "key", "date", "time", "datetime", "timestamp", "created", "created_at", "updated_at", "year", "month"),
    *("user", "username", "user_id", "handle", "email", "url", "link", "image", "location", "city", "country", "state"),
    *("age", "sex", "gender", "price", "count", "number", "value", "likes", "retweets", "replies", "votes", "helpful"),
    *("first_name", "last_name", "surname", "phone", "address", "status", "tags", "keywords", "length", "words"),
)
_KNOWN = frozenset((*TEXT_COLUMNS, *LABEL_COLUMNS, *OTHER_COLUMNS))

MAX_LABELS = 50  # distinct labels of a column that the user did not name
MAX_HEADER_CHARACTERS = 60
NAMED_BONUS = 4  # how many times longer texts of another column must be than those of "review_text" or "title"
MIN_SHARE = 0.8  # share of a column's cells that determine its kind

_NUMBER = re.compile(r"[-+]?[$€£¥]?\s?[\d.,\s]*\d[\d.,]*(e[-+]?\d+)?\s?[%€$kKmMbB]?", re.IGNORECASE)
_MONTHS = "jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec"
_DATE = re.compile(
    r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}([ T,]+\d{1,2}:\d{2}.*)?|\d{1,2}:\d{2}(:\d{2})?([.,]\d+)?( ?[ap]m)?"
    rf"|((mon|tue|wed|thu|fri|sat|sun)\w*[ ,]+)?(\d{{1,2}}\.?[ -])?({_MONTHS})[a-z]*[ ,.-]+\d.*",
    re.IGNORECASE,
)
_ADDRESS = re.compile(r"(https?://|www\.)\S+|@\w+|[^\s@]+@[^\s@]+\.\w+|[\w./-]*\w\.\w{2,4}", re.ASCII)
_CODE = re.compile(r"[\w./-]*[\d_][\w./:-]*", re.ASCII)  # such as tt0111161
_SWITCH = re.compile(r"true|false|yes|no|none|null|nan|n/?a|[ynt]|f", re.IGNORECASE)
_NO_TEXTS = (_NUMBER, _DATE, _ADDRESS, _CODE, _SWITCH)
_NAME_PARTS = re.compile(r"[\W_]+|(?<=[a-z])(?=[A-Z])")


def folded(name: str) -> str:
    """Return a column's name in a normal form for comparison.

    >>> folded(" Created At ")
    'created_at'
    """
    return re.sub(r"[\s-]+", "_", name.strip().strip("\ufeff").casefold())


def find_named(requested: str, columns: Sequence[str]) -> int | None:
    """Return the index of a column by its name, the end of its dotted name, or its number from 1."""
    names = [folded(column) for column in columns]
    wanted = folded(requested)
    if wanted in names:
        return names.index(wanted)
    leaves = [index for index, name in enumerate(names) if name.endswith(f".{wanted}")]
    if len(leaves) == 1:
        return leaves[0]
    if wanted.isdecimal() and 1 <= int(wanted) <= len(columns):
        return int(wanted) - 1
    return None


def find_text_column(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> int | None:
    """Return the index of the text column: one with a usual name, else the longest texts; None without texts.

    Numbers, dates, addresses and codes are not texts.

    >>> find_text_column(["id", "said"], [["1", "Good day to you"], ["2", "And to you"]])
    1
    """
    cells = _columns(rows, len(columns))
    texts = [index for index in range(len(columns)) if is_text(cells[index]) or not rows]
    if not texts:
        return 0 if len(columns) == 1 else None
    usual = find_usual(TEXT_COLUMNS, columns, texts)
    if usual is not None and folded(columns[usual]).removesuffix("s") not in SHORT_COLUMNS:
        return usual
    named = [usual, *(index for index in texts if _parts(columns[index], TEXT_COLUMNS))]
    return max(texts, key=lambda index: _weight(cells[index]) * (NAMED_BONUS if index in named else 1))


def find_label_column(columns: Sequence[str], rows: Sequence[Sequence[str]], *, text: int) -> int | None:
    """Return the index of the label column: one with a usual name, or the only other column with few values."""
    others = [index for index in range(len(columns)) if index != text]
    usual = find_usual(LABEL_COLUMNS, columns, others)
    if usual is not None:
        return usual
    cells = _columns(rows, len(columns))
    few = [index for index in others if _has_few_values(cells[index])]
    named = [index for index in few if _parts(columns[index], LABEL_COLUMNS)]
    return (named or few)[0] if len(few) == 1 or named else None


def find_usual(usual: Sequence[str], columns: Sequence[str], indices: Sequence[int]) -> int | None:
    """Return which of the columns at `indices` has the likeliest usual name, in the singular or the plural."""
    names = {folded(columns[index]): index for index in reversed(indices)}
    return next((names[form] for name in usual for form in (name, f"{name}s") if form in names), None)


def _columns(rows: Sequence[Sequence[str]], width: int) -> list[list[str]]:
    return [[row[index].strip() for row in rows if index < len(row)] for index in range(width)]


def is_text(cells: Sequence[str]) -> bool:
    """Return whether a column holds texts rather than numbers, dates, addresses, codes or switches."""
    filled = [cell for cell in cells if cell.strip()]
    others = sum(any(kind.fullmatch(cell) for kind in _NO_TEXTS) for cell in filled)
    return bool(filled) and others < MIN_SHARE * len(filled)


def is_header(first: Sequence[str], rows: Sequence[Sequence[str]], requested: Sequence[str] = ()) -> bool:
    """Return whether the first row is a header.

    It is one if it has a requested or a usual name; if none of its cells recurs in its column, and a column of numbers or dates
    has another kind of name; or if all names are written like identifiers and the cells are not.

    >>> is_header(["Ada", "1815"], [["Grace", "1906"]]), is_header(["who", "born"], [["Grace", "1906"]])
    (False, True)
    """
    names = [cell.strip() for cell in first]
    if any(find_named(one, names) is not None for one in requested if not one.strip().isdecimal()):
        return True
    if not any(names) or any(len(name) > MAX_HEADER_CHARACTERS or "\n" in name for name in names) or _repeats(names):
        return False
    columns = _columns(rows, len(names))
    if any(name and name in cells for name, cells in zip(names, columns, strict=True)):
        return False
    if any(map(is_usual, names)):
        return True
    if not rows or len(names) < 2 or any(kind.fullmatch(name) for name in names for kind in (_NUMBER, _DATE, _ADDRESS)):
        return False
    if any(name and any(cells) and not is_text(cells) for name, cells in zip(names, columns, strict=True)):
        return True
    return all(map(_is_identifier, names)) and not all(_is_identifier(cell) for cells in columns for cell in cells if cell)


def is_usual(name: str) -> bool:
    """Return whether this is a usual column name."""
    return folded(name) in _KNOWN or folded(name).removesuffix("s") in _KNOWN


def _repeats(names: Sequence[str]) -> bool:
    filled = [name for name in names if name]
    return len(set(filled)) < len(filled)


def _is_identifier(name: str) -> bool:
    return name.isidentifier() and name == name.lower()


def _parts(name: str, usual: Sequence[str]) -> set[str]:
    """Return the words of a name that are usual names."""
    return {part.casefold() for part in _NAME_PARTS.split(name)} & set(usual)


def _weight(cells: Sequence[str]) -> float:
    """Return the information in a column: mean characters of a cell times the share of distinct cells."""
    return sum(map(len, cells)) * len(set(cells)) / max(1, len(cells)) ** 2


def _has_few_values(cells: Sequence[str]) -> bool:
    """Return whether cells repeat a few values, each at least twice on average."""
    counts = Counter(cell.strip() for cell in cells if cell.strip())
    return 2 <= len(counts) <= min(MAX_LABELS, sum(counts.values()) // 2)

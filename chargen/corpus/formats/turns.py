"""Represent what people say one after the other in chats, subtitles with voices and mail."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from chargen.corpus.formats.rows import Rows


class Turn(NamedTuple):
    """What one person says; `speaker` is empty if unknown."""

    speaker: str
    text: str


def as_conversation(turns: Iterable[Turn]) -> str:
    """Return turns as one text, each with its speaker's name.

    >>> as_conversation([Turn("Ada", "Good day."), Turn("", "(A bell.)")])
    'Ada: Good day.\\n(A bell.)\\n'
    """
    return "".join(f"{turn.speaker}: {turn.text}\n" if turn.speaker else f"{turn.text}\n" for turn in turns)


def as_rows(turns: Sequence[Turn]) -> Rows:
    """Return turns as separate texts, labelled by their speakers; turns without a speaker are left out."""
    return Rows((turn.text, turn.speaker) for turn in turns if turn.speaker and turn.text.strip())

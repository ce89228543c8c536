"""Read exported chats of WhatsApp, Telegram, Discord and Slack."""

import json
import re
from collections.abc import Callable, Iterator
from html import unescape
from itertools import islice
from typing import Any

from chargen.corpus.formats.table import lines_of
from chargen.corpus.formats.turns import Turn
from chargen.corpus.large_text import Text

MIN_MESSAGES = 3
LOOKED_AT = 200  # lines of a text, or characters of JSON
_MIN_SHARE = 0.3  # share of these that must begin a message in a chat; messages may have several lines

# "[31.12.21, 23:59:59] Ada: Good day" and "12/31/21, 11:59 PM - Ada: Good day"
_DATE, _TIME = r"\d{1,4}[./-]\d{1,2}[./-]\d{1,4}", r"\d{1,2}[:.]\d{2}(?:[:.]\d{2})?(?:[\s\u202f]?[AaPp]\.?[\s\u202f]?[Mm]\.?)?"
_MESSAGE = re.compile(rf"[\u200e\u200f]?(?:\[{_DATE},? {_TIME}\] |{_DATE},? {_TIME} - )(?P<rest>.*)", re.DOTALL)
_SPEAKER = re.compile(r"(?P<speaker>[^:\n]{1,60}): (?P<text>.*)", re.DOTALL)
_MARKS = re.compile("[\u200e\u200f\u202a-\u202e\u2066-\u2069]")  # which set the direction of writing
_NO_TEXT = re.compile(  # media, and notices, which begin with a mark in files from an iPhone
    r"<[^<>]*>|\u200e.*|.*\((file attached|Datei angehängt|fichier joint|archivo adjunto|file allegato)\)|null", re.DOTALL
)
_SLACK_LINK = re.compile(r"<(?:[^<>|]*\|)?([^<>|]*)>")


def whatsapp_turns(text: Text) -> list[Turn] | None:
    """Return the messages of an exported WhatsApp chat, without notices and media; None for another text."""
    sample = list(islice(lines_of(text), LOOKED_AT))
    begun = sum(bool(_MESSAGE.match(line)) for line in sample)
    if begun < MIN_MESSAGES or begun < _MIN_SHARE * sum(bool(line.strip()) for line in sample):
        return None
    found = list(_whatsapp(str(text)))
    return found if len(found) >= MIN_MESSAGES else None


def _whatsapp(text: str) -> Iterator[Turn]:
    said: list[str] = []
    for line in [*text.split("\n"), None]:
        if line is None or _MESSAGE.match(line):
            yield from _message("\n".join(said))
            said = []
        if line is not None:
            said.append(line)


def _message(lines: str) -> Iterator[Turn]:
    message = _MESSAGE.match(lines)
    said = _SPEAKER.fullmatch(message["rest"]) if message else None
    if said and not _NO_TEXT.fullmatch(said["text"].strip()):
        text = _MARKS.sub("", said["text"]).strip()
        speaker = _MARKS.sub("", said["speaker"]).strip().removeprefix("~").strip()
        if text:
            yield Turn(speaker, text)


def json_turns(text: Text) -> tuple[str, list[Turn]] | None:
    """Return the name of the program and the messages of a chat in JSON; None for any other text."""
    if not str(text[:LOOKED_AT]).lstrip("\ufeff \n\t").startswith(("{", "[")):
        return None
    try:
        value = json.loads(str(text).removeprefix("\ufeff"))
    except (ValueError, RecursionError):
        return None
    for program, read in _PROGRAMS.items():
        turns = read(value)
        if turns:
            return program, turns
    return None


def _records(value: Any) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _telegram(value: Any) -> list[Turn]:
    if not isinstance(value, dict):
        return []
    chats = value.get("chats")
    if isinstance(chats, dict):
        return [turn for chat in _records(chats.get("list")) for turn in _telegram(chat)]
    messages = [one for one in _records(value.get("messages")) if one.get("type") == "message" and "from" in one]
    return _turns((one["from"] or "", _telegram_text(one.get("text"))) for one in messages)


def _telegram_text(text: Any) -> str:
    parts = text if isinstance(text, list) else [text]
    return "".join(str(one.get("text", "")) if isinstance(one, dict) else one for one in parts if isinstance(one, dict | str))


def _discord(value: Any) -> list[Turn]:
    messages = _records(value.get("messages")) if isinstance(value, dict) else []
    authors = [(one.get("author"), one.get("content")) for one in messages]
    return _turns(
        (author.get("nickname") or author.get("name") or "", content) for author, content in authors if isinstance(author, dict)
    )


def _slack(value: Any) -> list[Turn]:
    messages = filter(is_slack_message, _records(value))
    return _turns((_slack_speaker(one), _slack_text(one["text"])) for one in messages)


def is_slack_message(record: dict[str, Any]) -> bool:
    """Return whether a Slack record is a message of a person rather than a notice."""
    text = record.get("text")
    return (
        record.get("type") == "message" and "ts" in record and "subtype" not in record and isinstance(text, str) and bool(text)
    )


def _slack_speaker(message: dict[str, Any]) -> str:
    profile = message.get("user_profile")
    known = profile if isinstance(profile, dict) else {}
    return str(known.get("display_name") or known.get("real_name") or message.get("user") or message.get("username") or "")


def _slack_text(text: str) -> str:
    return unescape(_SLACK_LINK.sub(r"\1", text))


_PROGRAMS: dict[str, Callable[[Any], list[Turn]]] = {"Telegram": _telegram, "Discord": _discord, "Slack": _slack}


def _turns(said: Any) -> list[Turn]:
    return [Turn(str(speaker), _whole(text).strip()) for speaker, text in said if isinstance(text, str) and text.strip()]


def _whole(text: str) -> str:
    """Return a text without the halves of characters that were cut in two."""
    return text.encode("utf-8", "replace").decode("utf-8").replace("\r\n", "\n").replace("\r", "\n")

"""Read e-mail: a mail box (.mbox) or one message (.eml)."""

import email
import email.policy
import re
from collections.abc import Iterable, Iterator
from email.message import EmailMessage
from email.utils import parseaddr

from chargen.corpus.formats.html_text import html_text
from chargen.corpus.formats.turns import Turn

MAIL_SUFFIXES = (".mbox", ".eml")
_FROM_LINE = re.compile(rb"From .*\d{4}")
_ESCAPED_FROM = re.compile(r"^>(>*From )", re.MULTILINE)
_QUOTED = re.compile(r"^>.*\n?", re.MULTILINE)
_SIGNATURE = re.compile(r"^-- \n.*", re.MULTILINE | re.DOTALL)


def mail_turns(file: Iterable[bytes]) -> Iterator[Turn]:
    """Yield the sender and the text of each message in a mail box or of a single message, without quotations and signature."""
    for letter in _letters(file):
        try:
            yield _turn(letter)
        except (ValueError, LookupError, AttributeError, TypeError, RecursionError, AssertionError):
            continue  # raised by the library for damaged headers


def _letters(file: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the messages of a mail box; each begins with "From " after an empty line."""
    letter: list[bytes] = []
    after_empty = True
    for line in file:
        if after_empty and _FROM_LINE.match(line):
            yield b"".join(letter)
            letter = []
        else:
            letter.append(line)
        after_empty = not line.strip()
    yield b"".join(letter)


def _turn(raw: bytes) -> Turn:
    message = email.message_from_bytes(raw, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    name, address = parseaddr(str(message.get("From", "")))
    body = message.get_body(("plain", "html"))
    if body is None:
        return Turn(name or address, "")
    text = str(body.get_content())
    text = html_text(text) if body.get_content_subtype() == "html" else text
    text = text.replace("\r\n", "\n").encode("utf-8", "replace").decode("utf-8")
    return Turn(name or address, _SIGNATURE.sub("", _QUOTED.sub("", _ESCAPED_FROM.sub(r"\1", text))).strip())

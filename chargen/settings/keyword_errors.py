"""Rewrite errors for Python callers: `max_length` instead of --max-length."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from functools import cache

from chargen.errors import ChargenError
from chargen.settings.schema import declared_settings, flag_name, keyword_name, keyword_of
from chargen.settings.writing import WritingOptions
from chargen.suggestions import KEYWORDS

_FLAG = re.compile(r"--[a-z][a-z0-9-]*")


@contextmanager
def keyword_errors() -> Iterator[None]:
    """Rewrite the flags in errors raised within as keyword arguments."""
    try:
        yield
    except ChargenError as error:
        error.message = in_keywords(error.message)
        error.hint = error.hint and in_keywords(error.hint)
        error.args = (error.message,)
        raise


def in_keywords(text: str) -> str:
    """Replace the flags in a text by the names of the keyword arguments.

    >>> in_keywords("--temp is -1, raise it, or allow repeats with --no-distinct")
    'temperature is -1, raise it, or allow repeats with distinct=False'
    """
    return _FLAG.sub(lambda found: _keywords().get(found[0]) or _off(found[0]), text)


def _off(flag: str) -> str:
    """Return the keyword of a flag that is not declared, such as --no-distinct."""
    on = _keywords().get("--" + flag.removeprefix("--no-")) if flag.startswith("--no-") else None
    return f"{on}=False" if on else keyword_of(flag)


@cache
def _keywords() -> dict[str, str]:
    """Return the keyword argument of each flag."""
    settings = {flag_name(one.name, detail): keyword_name(one.name, detail) for _, one, _, detail in declared_settings()}
    writing = {flag_name(one.name, one.metadata["setting"]): one.name for one in fields(WritingOptions)}
    return settings | writing | {flag: keyword for flag, keyword in KEYWORDS.items() if keyword}

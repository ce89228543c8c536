"""Read the zip of a Slack export: a folder for each channel, with a file of messages for each day."""

import json
import re
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath
from typing import Any

from chargen.corpus.formats.chats import is_slack_message

_LISTS = ("users.json", "channels.json")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}\.json")
_MENTION = re.compile(r"<@(\w+)(\|[^<>]*)?>")


def export_files(names: Sequence[str]) -> list[str]:
    """Return the files of an export to read: the users, and the messages by channel and day.

    Return an empty list for another archive.

    >>> export_files(["channels.json", "users.json", "general/2021-12-31.json", "general/list.html"])
    ['users.json', 'general/2021-12-31.json']
    """
    paths = {PurePosixPath(name): name for name in names}
    root = next((path.parent for path in paths if path.name == _LISTS[0]), None)
    if root is None or not all(root / one in paths for one in _LISTS):
        return []
    days = sorted(path for path in paths if path.parent.parent == root and _DAY.fullmatch(path.name))
    return [paths[path] for path in (root / _LISTS[0], *days)] if days else []


def read_export(files: Iterable[tuple[str, bytes]]) -> tuple[dict[str, str], list[str]]:
    """Return the messages of each channel as JSON, with the names of the users, and the damaged files.

    files: the files of `export_files`, in that order. Channels without messages of people are left out.
    """
    channels: dict[str, list[Any]] = {}
    damaged: list[str] = []
    users: dict[str, str] | None = None
    for name, raw in files:
        try:
            records = _records(raw)
        except (ValueError, RecursionError):
            damaged.append(name)
            records = []
        if users is None:
            users = _names(records)
        else:
            said = (one for one in records if is_slack_message(one))
            channels.setdefault(PurePosixPath(name).parent.name, []).extend(_named(one, users) for one in said)
    return {channel: json.dumps(said, ensure_ascii=False) for channel, said in channels.items() if said}, damaged


def _records(raw: bytes) -> list[dict[str, Any]]:
    value = json.loads(raw)
    if not isinstance(value, list):
        raise ValueError("no list")
    return [one for one in value if isinstance(one, dict)]


def _names(users: Iterable[dict[str, Any]]) -> dict[str, str]:
    """Return the name of each user by id."""
    found: dict[str, str] = {}
    for user in users:
        profile = user.get("profile")
        known = profile if isinstance(profile, dict) else {}
        name = known.get("display_name") or known.get("real_name") or user.get("real_name") or user.get("name")
        found[str(user.get("id"))] = str(name or user.get("id"))
    return found


def _named(message: dict[str, Any], users: dict[str, str]) -> dict[str, Any]:
    """Return a message with names instead of user ids."""
    text = _MENTION.sub(lambda found: f"@{users.get(found[1], found[1])}", message["text"])
    named = message | {"text": text}
    name = users.get(str(message.get("user")))
    return named if name is None else named | {"user_profile": {"display_name": name}}

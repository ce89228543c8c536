"""Convert a file to text by its format (a table, markup or a chat), given by its name, its beginning or the user."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import PurePath

from chargen.corpus.formats.chats import json_turns, whatsapp_turns
from chargen.corpus.formats.columns import find_named
from chargen.corpus.formats.containers import plain_name
from chargen.corpus.formats.html_text import html_text
from chargen.corpus.formats.json_records import NoRecordsError
from chargen.corpus.formats.notebooks import notebook_text
from chargen.corpus.formats.subtitles import subtitle_turns
from chargen.corpus.formats.tables import SPEAKER, Columns, Labels, column_names, read_table, table_like, wanted_columns
from chargen.corpus.formats.turns import Turn, as_conversation, as_rows
from chargen.corpus.large_text import Text
from chargen.corpus.reading import PLAIN, SourceText
from chargen.corpus.wording import counted, example, listed
from chargen.errors import ReadingError
from chargen.settings.schema import CorpusConfig

CHAT = "chat"
FORMATS = {
    **{".csv": "csv", ".tsv": "tsv", ".tab": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "json"},
    **{".html": "html", ".htm": "html", ".xhtml": "html", ".srt": "subtitles", ".vtt": "subtitles", ".ipynb": "notebook"},
}
_AS_IT_IS = "--format text reads the file as plain text"
_MARKUP: dict[str, tuple[str, Callable[[str], str]]] = {
    "html": ("an HTML page", html_text),
    "notebook": ("a Jupyter notebook", notebook_text),
}


def formatted(source: SourceText, config: CorpusConfig, *, labels: Labels = Labels.IF_NAMED) -> SourceText:
    """Return the text of a file: the rows of a table, the text of a page or a notebook, or the messages of a chat.

    labels: whether to look for a label column without a given name. Raises ConfigError for a missing column, and CorpusError
    for a table that cannot be read and for a text that is not in the requested format.
    """
    wanted = wanted_columns(config, labels)
    if config.format == PLAIN and labels != Labels.ALWAYS:
        return source
    kind = _named_format(source, config)
    if source.rows is not None:
        return source
    if not wanted.requested and labels == Labels.IF_NAMED and kind in (None, "json", CHAT, "subtitles"):
        chat = _chat(source.text, kind)
        if chat:
            return _spoken(source, *chat, by_speaker=config.label_by == SPEAKER)
    if kind in _MARKUP:
        return _without_markup(source, kind, config)
    if kind in (CHAT, "subtitles"):
        raise ReadingError(f"{source.name} does not look like {kind}", hint=f"{_AS_IT_IS}")
    return _table(source, kind, wanted, config)


def _named_format(source: SourceText, config: CorpusConfig) -> str | None:
    """Return the format given by the user, or else by the file's name."""
    return FORMATS.get(PurePath(plain_name(source.name)).suffix.lower()) if config.format in ("auto", PLAIN) else config.format


def _chat(text: Text, kind: str | None) -> tuple[str, list[Turn]] | None:
    """Return the name of a conversation's kind, with an article, and its turns; None for another text."""
    if kind == "subtitles":
        turns = subtitle_turns(str(text))
        return ("subtitles", turns) if turns else None
    if kind in ("json", CHAT) and (found := json_turns(text)):
        return f"a {found[0]} chat", found[1]
    messages = whatsapp_turns(text) if kind != "json" else None
    return ("a WhatsApp chat", messages) if messages else None


def _spoken(source: SourceText, what: str, turns: list[Turn], *, by_speaker: bool) -> SourceText:
    """Return a conversation as one text; with `by_speaker`, as a text for each message, labelled by speaker."""
    speakers = list(dict.fromkeys(turn.speaker for turn in turns if turn.speaker))
    who = f" by {counted(len(speakers), 'speaker')} ({listed(speakers)})" if speakers else ""
    rows = as_rows(turns) if by_speaker else None
    text = as_conversation(turns) if rows is None else rows.text
    how = "read as one conversation; --label-by speaker reads each message as a separate text, labelled by its speaker"
    shown = "each is a text, labelled by its speaker" if by_speaker else how if speakers else "read as one text"
    note = (
        f"{source.name}: {what}, {counted(len(turns), 'message')}{who}, such as {example(turns[0].text)}; {shown} ({_AS_IT_IS})"
    )
    return replace(_noted(source, note), text=text, rows=rows)


def _without_markup(source: SourceText, kind: str, config: CorpusConfig) -> SourceText:
    what, read = _MARKUP[kind]
    try:
        text = read(str(source.text))
    except ValueError as error:
        if config.format != "auto":
            raise ReadingError(f"{source.name} is not {what}: {error}", hint=_AS_IT_IS) from error
        return _noted(source, f"{source.name} is not {what} ({error}), read as plain text")
    if not text.strip():
        return _noted(source, f"{source.name}: {what} without text, read as plain text")
    note = f"{source.name}: {what}, read without its markup, such as {example(text)} ({_AS_IT_IS})"
    return replace(_noted(source, note), text=text)


def _table(source: SourceText, kind: str | None, wanted: Columns, config: CorpusConfig) -> SourceText:
    """Return the rows of a table, or a text that is not a table unchanged."""
    requested = bool(wanted.requested) or wanted.labels in (Labels.ALWAYS, Labels.SPEAKERS)
    if kind is None:
        kind = table_like(source.text, hinted=requested)
        if kind is None:
            return source
        if not requested:
            return _noted(source, _looks_like(source, kind))
        if any(find_named(name, column_names(source.text, kind, wanted.requested)) is None for name in wanted.requested):
            return source
    try:
        found = read_table(source.text, source.name, kind, wanted)
    except NoRecordsError as error:
        if requested or config.format != "auto":
            raise ReadingError(f"{source.name} is not a table: {error}", hint=_AS_IT_IS) from error
        return _noted(source, f"{source.name}: {error}, read as plain text")
    if found is None:
        return _noted(source, f"{source.name}: a table without a column of texts, read as plain text (--text-column NAME)")
    rows, notes = found
    return replace(_noted(source, *notes), text=rows.text, rows=rows)


def _noted(source: SourceText, *notes: str) -> SourceText:
    return replace(source, format_notes=(*source.format_notes, *notes))


def _looks_like(source: SourceText, kind: str) -> str:
    columns = ", ".join(column_names(source.text, kind, ()))
    return f"{source.name} looks like a table ({columns}), read as plain text (--format {kind} reads a text from each row)"

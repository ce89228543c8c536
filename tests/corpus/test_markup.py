import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chargen.corpus.corpus import Corpus, load_corpus
from chargen.errors import ChargenError, ConfigError, CorpusError
from chargen.settings.schema import CorpusConfig


def load(folder: Path, content: str | bytes, name: str, **settings: Any) -> Corpus:
    (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return load_corpus(CorpusConfig(files=(str(folder / name),), **settings))


IPHONE = """\u200e[31.12.21, 23:58:00] Team: \u200eMessages and calls are end-to-end encrypted.
[31.12.21, 23:59:01] Ada: Good evening: are you there?
[31.12.21, 23:59:40] ~\u202fTom Smith: Yes!
of course
\u200e[01.01.22, 00:00:05] Ada: \u200eimage omitted
[01.01.22, 00:00:09] Ada: Happy new year 🎉
"""
ANDROID = """12/31/21, 11:58\u202fPM - Messages and calls are end-to-end encrypted. No one can read them
12/31/21, 11:59 PM - Ada: Good evening: are you there?
12/31/21, 11:59 PM - Tom Smith: Yes!
of course
1/1/22, 12:00 AM - Ada: <Media omitted>
1/1/22, 12:00 AM - Ada: Happy new year 🎉
"""
SAID = [("Ada", "Good evening: are you there?"), ("Tom Smith", "Yes!\nof course"), ("Ada", "Happy new year 🎉")]
TELEGRAM = {
    "name": "Us",
    "type": "personal_chat",
    "messages": [
        {"id": 0, "type": "service", "actor": "Ada", "text": "joined"},
        {"id": 1, "type": "message", "from": "Ada", "text": "Good evening: are you there?"},
        {"id": 2, "type": "message", "from": "Tom Smith", "text": [{"type": "bold", "text": "Yes!"}, "\nof course"]},
        {"id": 3, "type": "message", "from": "Ada", "text": ""},
        {"id": 4, "type": "message", "from": "Ada", "text": "Happy new year 🎉"},
    ],
}
DISCORD = {
    "guild": {"id": "1"},
    "messages": [
        {"id": str(n), "content": text, "author": {"name": "x", "nickname": who}} for n, (who, text) in enumerate(SAID)
    ],
}
SLACK = [
    {"type": "message", "subtype": "channel_join", "user": "U1", "text": "<@U1> has joined", "ts": "1"},
    *({"type": "message", "user": "U1", "user_profile": {"real_name": who}, "text": text, "ts": "2"} for who, text in SAID),
]
CHATS = {
    "_chat.txt": (IPHONE, "a WhatsApp chat"),
    "WhatsApp Chat with Tom.txt": (ANDROID, "a WhatsApp chat"),
    "result.json": (json.dumps(TELEGRAM), "a Telegram chat"),
    "results.json": (json.dumps({"about": "x", "chats": {"list": [TELEGRAM]}}, indent=1), "a Telegram chat"),
    "us.json": (json.dumps(DISCORD), "a Discord chat"),
    "2021-12-31.json": (json.dumps(SLACK), "a Slack chat"),
}


@pytest.mark.parametrize("name", CHATS)
def test_a_chat_is_read_as_a_conversation_or_by_speakers(name: str, tmp_path: Path) -> None:
    content, what = CHATS[name]
    corpus = load(tmp_path, content, name, reading="document")
    assert tuple(corpus.texts) == ("".join(f"{who}: {text}\n" for who, text in SAID),)
    note = f"{name}: {what}, 3 messages by 2 speakers (Ada, Tom Smith), such as 'Good evening: are you there?'"
    assert corpus.notes[0].startswith(note)
    assert "--label-by speaker" in corpus.notes[0]
    by_speaker = load(tmp_path, content, name, label_by="speaker")
    assert [(document.label, document.text) for document in by_speaker.documents] == SAID
    assert by_speaker.labels == ("Ada", "Tom Smith")
    assert tuple(load(tmp_path, content, name, format="text", reading="document").texts) == (content,)


def test_slack_marks_are_taken_out(tmp_path: Path) -> None:
    messages = [{"type": "message", "user": "U1", "text": "see <https://a.b|this page> &amp; <#C1|general>", "ts": "1"}] * 2
    assert tuple(load(tmp_path, json.dumps(messages), "day.json", reading="document").texts) == (
        "U1: see this page & general\n" * 2,
    )


def test_a_table_names_speakers_too(tmp_path: Path) -> None:
    corpus = load(tmp_path, "speaker;line\nJULIET;Ay me!\nROMEO;She speaks.\nJULIET;O Romeo\n", "play.csv", label_by="speaker")
    assert [(document.label, document.text) for document in corpus.documents] == [
        ("JULIET", "Ay me!"),
        ("ROMEO", "She speaks."),
        ("JULIET", "O Romeo"),
    ]
    with pytest.raises(ConfigError, match="no column looks like speakers; name one with --label-column"):
        load(tmp_path, "number;line\n1;Ay me!\n2;She speaks.\n", "play.csv", label_by="speaker")
    with pytest.raises(CorpusError, match=r"book\.txt names no speakers"):
        load(tmp_path, "It was a dark night.\n" * 5, "book.txt", label_by="speaker")


SRT = """1
00:00:01,000 --> 00:00:04,000
<i>It was a</i> dark
night.

2
00:00:05,000 --> 00:00:06,000
{\\an8}And nobody slept.

"""
VTT = """WEBVTT - a film

STYLE
::cue { color: red }

NOTE nobody reads this

1
00:01.000 --> 00:04.000 align:start
<v Ada>Good &amp; dark</v>
<v.loud Tom>night.

00:05.000 --> 00:06.000
And nobody <c.red>slept</c>.
"""


def test_subtitles_are_read_without_times(tmp_path: Path) -> None:
    corpus = load(tmp_path, SRT.replace("\n", "\r\n"), "film.srt", reading="document")
    assert tuple(corpus.texts) == ("It was a dark\nnight.\nAnd nobody slept.\n",)
    assert "film.srt: subtitles, 2 messages" in corpus.notes[0]
    assert tuple(load(tmp_path, VTT, "film.vtt", reading="document").texts) == (
        "Ada: Good & dark\nTom: night.\nAnd nobody slept.\n",
    )
    voices = load(tmp_path, VTT, "film.vtt", label_by="speaker")
    assert [(document.label, document.text) for document in voices.documents] == [("Ada", "Good & dark"), ("Tom", "night.")]
    with pytest.raises(CorpusError, match=r"film\.srt does not look like subtitles"):
        load(tmp_path, "No times at all\n", "film.srt")


NOTEBOOK = {
    "nbformat": 4,
    "cells": [
        {"cell_type": "markdown", "source": ["# Title\n", "Text."]},
        {"cell_type": "code", "source": "x = 1\n", "outputs": [{"text": ["no"]}]},
        {"cell_type": "code", "source": []},
    ],
}


def test_a_notebook_and_a_page_are_read_without_markup(tmp_path: Path) -> None:
    corpus = load(tmp_path, json.dumps(NOTEBOOK), "a.ipynb", reading="document")
    assert tuple(corpus.texts) == ("# Title\nText.\n\nx = 1",)
    assert "a.ipynb: a Jupyter notebook, read without its markup, such as '# Title" in corpus.notes[0]
    page = "<html><head><title>t</title></head><body><p>Good &amp; bad<p>End</body></html>"
    assert tuple(load(tmp_path, page, "a.html", reading="document").texts) == ("Good & bad\n\nEnd",)
    assert tuple(load(tmp_path, page, "a.txt", format="html", reading="document").texts) == ("Good & bad\n\nEnd",)
    assert tuple(load(tmp_path, page, "a.html", format="text").texts) == (page,)
    damaged = load(tmp_path, "{ }{", "a.ipynb", reading="document")
    assert (tuple(damaged.texts), damaged.notes[0][:36]) == (("{ }{",), "a.ipynb is not a Jupyter notebook (E")
    with pytest.raises(CorpusError, match=r"a\.txt is not a Jupyter notebook: its JSON has no cells; --format text"):
        load(tmp_path, "{}", "a.txt", format="notebook")


MBOX = b"""From ada@example.org Fri Dec 31 23:59:00 2021
From: Ada Lovelace <ada@example.org>
Subject: Engine
Content-Type: text/plain; charset=iso-8859-1
Content-Transfer-Encoding: 8bit

Caf\xe9 at noon?

>From there we walk.
> an old letter
--\x20
Ada, Countess

From tom@example.org Sat Jan  1 00:00:00 2022
From: tom@example.org
Content-Type: multipart/alternative; boundary=x

--x
Content-Type: text/html; charset=utf-8

<p>Yes &amp; <b>gladly</b>.</p>
--x--

From nobody Sat Jan  1 00:00:00 2022
From: nobody@example.org

"""
LETTERS = [("Ada Lovelace", "Café at noon?\n\nFrom there we walk."), ("tom@example.org", "Yes & gladly.")]


def test_letters_are_texts_labelled_by_who_wrote_them(tmp_path: Path) -> None:
    corpus = load(tmp_path, MBOX, "all.mbox", label_by="speaker")
    assert [(document.label, document.text) for document in corpus.documents] == LETTERS
    plain = load(tmp_path, MBOX, "all.mbox")
    assert (tuple(plain.texts), plain.labels) == (tuple(text for _, text in LETTERS), ())
    assert "all.mbox: mail, 2 messages, each a text without its quotations, such as 'Café at noon?" in plain.notes[0]
    one = MBOX.partition(b"\n")[2].partition(b"\nFrom tom")[0]
    assert tuple(load(tmp_path, one, "one.eml").texts) == (LETTERS[0][1],)
    with pytest.raises(CorpusError, match=r"none\.mbox has no messages with text"):
        load(tmp_path, "From: a\n\n", "none.mbox")


SEEDS = {name: content for name, (content, _) in CHATS.items()} | {
    "a.srt": SRT,
    "a.vtt": VTT,
    "a.ipynb": json.dumps(NOTEBOOK),
    "a.eml": MBOX.decode("latin-1"),
}


@given(seed=st.integers(0, 2**32), name=st.sampled_from(sorted(SEEDS)))
@settings(max_examples=200)
def test_any_damage_gives_a_text_or_one_line(seed: int, name: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    rng = random.Random(seed)
    raw = bytearray(SEEDS[name].encode())
    for _ in range(rng.randint(1, 6)):
        place = rng.randrange(len(raw))
        raw[place : place + rng.randint(0, 3)] = rng.choice([rng.randbytes(2), b"[", b"{}", b'"', b"null", b"1", b"\n"])
    try:
        message = "" if load(tmp_path_factory.getbasetemp(), bytes(raw), f"damaged-{name}").num_characters else "\n"
    except ChargenError as error:
        message = str(error)
    assert "\n" not in message


def test_many_files_of_a_kind_have_few_notes(tmp_path: Path) -> None:
    pages = tmp_path / "pages"
    pages.mkdir()
    for number in range(9):
        (pages / f"{number}.html").write_text(f"<p>The {number}th page has a text of its own.</p>", encoding="utf-8")
    (pages / "a.csv").write_text("text,n\nGood day to you.,1\nAnd to you.,2\n", encoding="utf-8")
    corpus = load_corpus(CorpusConfig(files=(str(pages),), glob="*"))
    about = [note for note in corpus.notes if ": an HTML page" in note]
    assert [note[:6] for note in about] == ["0.html", "1.html", "2.html"]
    assert (
        "6 more files read like the files with the same suffix above: 3.html, 4.html, 5.html, 6.html, 7.html and 1 more"
        in corpus.notes
    )
    assert any(note.startswith("a.csv: a table of 2 columns") for note in corpus.notes)

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from chargen.corpus.corpus import Corpus, load_corpus
from chargen.errors import CorpusError
from chargen.settings.schema import CorpusConfig


def said(user: str, text: str, **more: Any) -> dict[str, Any]:
    return {"type": "message", "user": user, "text": text, "ts": "1640995200.000100", **more}


USERS = [
    {"id": "U1", "name": "ada", "profile": {"display_name": "", "real_name": "Ada"}},
    {"id": "U2", "name": "tom", "profile": {"display_name": "Tom Smith", "real_name": "Thomas"}},
]
JOINED = said("U1", "<@U1> has joined", subtype="channel_join")
EXPORT: dict[str, Any] = {
    "users.json": USERS,
    "channels.json": [{"name": "general"}, {"name": "quiet"}, {"name": "walks"}],
    "integration_logs.json": [],
    "walks/2021-12-30.json": [said("U9", "Shall we go?")],
    "general/2022-01-01.json": [said("U1", "Happy new year"), said("U2", "")],
    "general/2021-12-31.json": [JOINED, said("U1", "Are you there, <@U2>?"), said("U2", "Yes &amp; no", user_profile={})],
    "quiet/2021-12-30.json": [JOINED],
}


def zipped(files: dict[str, Any], within: str = "") -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in files.items():
            archive.writestr(within + name, content if isinstance(content, str) else json.dumps(content))
    return file.getvalue()


def load(folder: Path, raw: bytes, **settings: Any) -> Corpus:
    (folder / "team.zip").write_bytes(raw)
    return load_corpus(CorpusConfig(files=(str(folder / "team.zip"),), **settings))


@pytest.mark.parametrize("within", ["", "Our Team export/"])
def test_each_channel_of_an_export_is_a_conversation(within: str, tmp_path: Path) -> None:
    corpus = load(tmp_path, zipped(EXPORT, within), reading="document")
    assert list(map(str, corpus.texts)) == [
        "Ada: Are you there, @Tom Smith?\nTom Smith: Yes & no\nAda: Happy new year\n",
        "U9: Shall we go?\n",
    ]
    assert corpus.notes[0] == "team.zip: a Slack export, 2 channels"
    assert corpus.notes[1].startswith("general.json: a Slack chat, 3 messages by 2 speakers (Ada, Tom Smith), such as 'Are you")
    assert load(tmp_path, zipped(EXPORT, within), label_by="speaker").labels == ("Ada", "Tom Smith", "U9")
    assert load(tmp_path, zipped(EXPORT, within), label_by="folder").labels == ("general", "walks")


def test_a_pattern_reads_an_export_as_any_archive(tmp_path: Path) -> None:
    corpus = load(tmp_path, zipped(EXPORT), glob="general/*.json")
    assert "team.zip: 2 files" in corpus.notes


@pytest.mark.parametrize("damaged", ["{", "[" * 100_000, '{"a": 1}'])
def test_a_damaged_day_is_left_out(damaged: str, tmp_path: Path) -> None:
    corpus = load(tmp_path, zipped(EXPORT | {"general/2022-01-01.json": damaged, "users.json": damaged}), reading="document")
    assert str(next(iter(corpus.texts))) == "U1: Are you there, @U2?\nU2: Yes & no\n"
    assert "team.zip: 2 files left out, not readable: general/2022-01-01.json; users.json" in corpus.notes


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (
            {**EXPORT, "general/2021-12-31.json": [], "general/2022-01-01.json": [], "walks/2021-12-30.json": [JOINED]},
            "without messages",
        ),
        (
            {name: EXPORT[name] for name in EXPORT if name != "channels.json"},
            r"no \.txt or \.md file in team\.zip, only \.json 6",
        ),
        ({name: EXPORT[name] for name in EXPORT if "/" not in name}, r"no \.txt or \.md file in team\.zip, only \.json 3"),
    ],
)
def test_an_export_without_messages_and_other_archives_are_told(files: dict[str, Any], expected: str, tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=expected):
        load(tmp_path, zipped(files))

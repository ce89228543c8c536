from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from chargen.corpus.corpus import load_corpus
from chargen.errors import CorpusError, RunError
from chargen.insight.assessment import baselines, held_out_subject, missing_baselines_note
from chargen.network.model_file import TextModel
from chargen.runs.config import read_settings, write_config
from chargen.runs.directory import RunDirectory
from chargen.runs.trained_text import find_text, read_files, read_trained_text
from chargen.settings.schema import CorpusConfig, Settings

RandomModel = Callable[..., TextModel]


@pytest.fixture
def trained(in_folder: Path, random_model: RandomModel) -> Callable[..., tuple[RunDirectory, TextModel]]:
    """A run directory with the settings of a corpus, and a model that bears the corpus's sha256."""

    def make(text: str = "abcH" * 30, **corpus: object) -> tuple[RunDirectory, TextModel]:
        (in_folder / "text.txt").write_text(text, encoding="utf-8")
        run = RunDirectory(in_folder / "run")
        run.path.mkdir()
        settings = Settings(corpus=CorpusConfig(files=("text.txt",), **corpus))
        write_config(run, settings)
        return run, replace(random_model(), provenance={"sha256": load_corpus(settings.corpus).sha256})

    return make


@pytest.mark.parametrize("recorded", [True, False], ids=["a new run", "a run made before spans were held out"])
def test_the_tail_of_a_document(trained: Callable[..., tuple[RunDirectory, TextModel]], recorded: bool) -> None:
    run, model = trained("abcH" * 300, validation="tail")
    if not recorded:
        config = run.config.read_text(encoding="utf-8")
        run.config.write_text(config.replace('validation = "tail"\n', ""), encoding="utf-8")
        assert "tail" not in run.config.read_text(encoding="utf-8")
    text = read_trained_text(run, model)
    assert [one.text for one in (*text.training, *text.held_out)] == [("abcH" * 300)[:1080], ("abcH" * 300)[1080:]]


def test_a_stretch_of_a_document(trained: Callable[..., tuple[RunDirectory, TextModel]]) -> None:
    run, model = trained("abcH" * 300)
    text = read_trained_text(run, model)
    before, after = (str(one.text) for one in text.training)
    (held_out,) = (str(one.text) for one in text.held_out)
    assert before + held_out + after == "abcH" * 300
    assert len(held_out) == 120
    assert min(len(before), len(after)) > 200


def test_another_text_of_the_same_name(trained: Callable[..., tuple[RunDirectory, TextModel]], in_folder: Path) -> None:
    run, model = trained()
    (in_folder / "text.txt").write_text("abcH" * 31, encoding="utf-8")
    with pytest.raises(CorpusError, match="trained on cannot be used: it has changed: its sha256 is ") as raised:
        held_out_subject([(run, model)])
    assert "restore the text" in str(raised.value.hint)
    assert "evaluate RUN FILE" in str(raised.value.hint)
    with pytest.raises(CorpusError, match="has changed"):
        held_out_subject([(run, replace(model, provenance={}))])


def test_a_text_is_found_from_another_folder(
    trained: Callable[..., tuple[RunDirectory, TextModel]], in_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder of runs lies where the run was made."""
    _, model = trained()
    (in_folder / "runs").mkdir()
    run = RunDirectory((in_folder / "run").rename(in_folder / "runs" / "run"))
    (in_folder / "elsewhere").mkdir()
    monkeypatch.chdir(in_folder / "elsewhere")
    assert [one.text for one in read_trained_text(run, model).held_out] == [("abcH" * 30)[108:]]
    Path("text.txt").write_text("another text of the same name", encoding="utf-8")
    assert read_trained_text(run, model).name == "text"


def test_a_folder_that_is_no_run(in_folder: Path) -> None:
    with pytest.raises(RunError, match=r"no config\.toml"):
        read_settings(RunDirectory(in_folder))


def test_files_are_read_as_the_model_reads(in_folder: Path, random_model: RandomModel) -> None:
    (in_folder / "text.txt").write_text("ab\n\nHc\n", encoding="utf-8")
    for reading, expected in (("line", ["ab", "Hc"]), ("document", ["ab\n\nHc\n"])):
        documents, _, notes = read_files(
            ["text.txt"], random_model(reading=reading), CorpusConfig(), label=None, on_unknown="error"
        )
        assert [one.text for one in documents] == expected
        assert not notes


def test_a_text_of_nothing_that_the_model_knows(in_folder: Path, random_model: RandomModel) -> None:
    (in_folder / "text.txt").write_text("xyz", encoding="utf-8")
    with pytest.raises(CorpusError, match="no text that the model can read"):
        read_files(["text.txt"], random_model(), CorpusConfig(), label=None, on_unknown="skip")


def test_baselines_learn_from_the_training_part_alone(trained: Callable[..., tuple[RunDirectory, TextModel]]) -> None:
    run, model = trained("abcH" * 200)
    subject = held_out_subject([(run, model)])
    found = baselines(subject.training, subject.documents)
    assert list(found) == [*(f"{order}-gram" for order in range(1, 7)), "gzip", "xz"]
    assert found["2-gram"].cross_entropy < 0.1 < 1.3 < found["1-gram"].cross_entropy
    assert {one.characters for one in found.values()} == {80}


def test_a_text_too_large_has_no_baselines(
    trained: Callable[..., tuple[RunDirectory, TextModel]], monkeypatch: pytest.MonkeyPatch
) -> None:
    subject = held_out_subject([trained()])
    assert not missing_baselines_note(subject)
    monkeypatch.setattr("chargen.insight.assessment.LARGEST_BASELINE", 120)
    assert "more than 120 characters" in missing_baselines_note(subject)


def test_a_text_is_found_in_the_encoding_that_an_older_version_took_it_for(
    trained: Callable[..., tuple[RunDirectory, TextModel]], in_folder: Path
) -> None:
    run, model = trained()
    raw = "Akşam yağmuru altında küçük kız koşuyordu; ışıklar söndü.\n".encode("cp1254") * 5
    (in_folder / "text.txt").write_bytes(raw)
    digest = sha256(raw.decode("cp1252").encode() + b"\xff").hexdigest()
    text = read_trained_text(run, replace(model, provenance={"sha256": digest}))
    assert str(text.training[0].text).startswith("Akþam yaðmuru")
    assert find_text(run, digest).config.encoding == "cp1252"

"""A run and a model show themselves in a notebook, whatever their texts hold."""

from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import chargen
from chargen.network.model_file import save_model
from chargen.pages.notebook import LONGEST_SAMPLE, card
from chargen.settings.schema import NetworkConfig
from tests.export.forms import H, make_model


def test_a_run_shows_settings_curve_and_samples(in_folder: Path) -> None:
    (in_folder / "text.txt").write_text("the <b>cat</b> & the dog.\n" * 20, encoding="utf-8")
    run = chargen.train("text.txt", config="plain", hidden_size=4, epochs=3, backend="numpy", quiet=True)
    page = ElementTree.fromstring(run._repr_html_())
    cells = {row[0].text: row[1].text for row in page.iter("tr")}
    assert cells["network"] == "lstm 1x4"
    assert cells["learning"] == "adam at 0.003, 3 of 3 epochs"
    best = min(run.history, key=lambda row: row["val_loss"])
    assert cells["val_loss"] == f"{best['val_loss']:.3f}, the best, of epoch {best['epoch']}"
    assert cells["loss"] == f"{run.history[-1]['loss']:.3f}"
    training, validation = page.iter("polyline")
    assert len(training.attrib["points"].split()) == len(validation.attrib["points"].split()) == 3
    assert [text.text[:3] for text in page.iter("pre") if text.text] == ["0.5", "1.2"]
    model = ElementTree.fromstring(run.model._repr_html_())
    assert "lstm" in "".join(model.itertext())


def test_a_model_without_a_name_has_no_empty_row(in_folder: Path) -> None:
    model = make_model(NetworkConfig(cell="gru", hidden_size=H))
    save_model(in_folder / "mine.safetensors", replace(model, provenance={}))
    page = ElementTree.fromstring(chargen.load("mine.safetensors")._repr_html_())
    cells = {row[0].text: row[1].text for row in page.iter("tr")}
    assert cells["cell"] == "gru"
    assert all(cells.values())


def test_texts_are_escaped_and_cut() -> None:
    hostile = "<script>alert(1)</script>\x1b[2J" + "x" * LONGEST_SAMPLE
    shown = card(hostile, {"<a>": "\"'&"}, curves={"training": [1.0]}, texts=[hostile])
    page = ElementTree.fromstring(shown)
    assert not [one for one in page.iter() if one.tag in ("script", "a", "svg")]
    (text,) = page.iter("pre")
    assert text.text is not None
    assert len(text.text) <= LONGEST_SAMPLE + 1

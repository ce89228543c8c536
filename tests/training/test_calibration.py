"""After training, a network that is too certain of its predictions is made less certain, by the text that was held out."""

import json
import random
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from chargen.cli.program import program
from chargen.corpus.documents import Document
from chargen.corpus.vocabulary import BOUNDARY
from chargen.corpus.windows import TokenStream, tokenize
from chargen.insight.comparison import read_facts
from chargen.network.average import NetworkAverage
from chargen.network.model_file import TextModel, load_model
from chargen.training.planning import validation
from chargen.training.recording.calibration import CALIBRATED, calibrate
from chargen.writing.generation import sample_texts
from chargen.writing.sampling import Sampler

Train = Callable[..., Any]
MEMORIZED = (
    *("--backend", "numpy", "--validation-split", 0.3, "--validation", "tail", "--learning-rate", 0.03, "--sample-every", 0),
    *("--epochs", 1, "--epoch-steps", 300, "--validate-whole", "--batch-size", 2, "--context-length", 8, "--calibrate"),
)


@pytest.fixture
def noise(tmp_path: Path) -> Path:
    """A text of which only the frequencies of the letters can be learnt; a network that is trained long memorizes the rest."""
    path = tmp_path / "noise.txt"
    path.write_text("".join(random.Random(1).choices("aaabbcd ", k=700)), encoding="utf-8")
    return path


def chargen(*arguments: object) -> Result:
    result = CliRunner().invoke(program, [*map(str, arguments)])
    assert result.exit_code == 0, result.output
    return result


def first_bits(*arguments: object) -> float:
    rows = json.loads(chargen("evaluate", *arguments, "--no-baselines", "--memory", 0, "--json").stdout)["results"]
    return float(rows[0]["bits_per_character"])


@pytest.mark.parametrize(
    "form",
    [(), ("--members", 2), ("--targets", "last", "--context-length", 5), ("--no-memory",)],
    ids=lambda form: " ".join(map(str, form)),
)
def test_all_commands_report_the_figure_of_the_calibrated_model(form: tuple[object, ...], train: Train, noise: Path) -> None:
    trained = train(noise, *MEMORIZED, *form)
    model, bits = load_model(trained.run.model), first_bits(trained.run.path)
    told = re.search(r"divided by ([\d.]+): held-out text has ([\d.]+) instead of ([\d.]+) bits a character", trained.stderr)
    assert told
    assert float(told[1]) == model.provenance[CALIBRATED] > 1
    assert (float(told[2]), model.provenance["bits_per_character"]) == pytest.approx((bits, bits), abs=1e-3)
    assert read_facts([trained.run])[0].bits_per_character == pytest.approx(bits, abs=1e-5)
    ending = r"networks together {2} " if "--members" in form else r"best {3} bits/char at epoch \d+, {2} calibrated"
    assert re.search(ending.replace("{2}", told[2]).replace("{3}", told[3]), trained.stderr)


def test_without_it_the_network_stays_as_it_was_trained(train: Train, noise: Path) -> None:
    trained = train(noise, *MEMORIZED, "--no-calibrate", "--no-memory")
    assert "divided by" not in trained.stderr
    assert CALIBRATED not in load_model(trained.run.model).provenance
    assert first_bits(trained.run.path) == pytest.approx(float(re.findall(r"best ([\d.]+)", trained.stderr)[-1]), abs=1e-3)


def test_a_run_that_goes_on_keeps_its_best_model_and_figure(train: Train, noise: Path) -> None:
    run = train(noise, *MEMORIZED).run
    model, bits = load_model(run.model), first_bits(run.path)
    resumed = train(noise, *MEMORIZED, "--epochs", 2, "--resume", run.path)
    assert f"{bits:.3f} calibrated" in resumed.stderr
    assert first_bits(run.path) == bits
    assert load_model(run.model).provenance[CALIBRATED] == model.provenance[CALIBRATED]


@pytest.fixture
def model(random_model: Callable[..., TextModel]) -> TextModel:
    """A model that never predicts the end of a text, which it does not write either."""
    model = random_model()
    model.one_network.weights["output.bias"][BOUNDARY] = -30
    return model


def written(model: TextModel, length: int) -> TokenStream:
    """A text that the model has written, for which it is as certain as it should be."""
    rng = np.random.default_rng(1)
    (text,) = sample_texts(model, model.vocabulary.encode("a"), count=1, length=length, sampler=Sampler(), rng=rng)
    return tokenize([Document(text)], model.vocabulary)


@pytest.mark.parametrize("temperature", [0.8, 1.25, 1.4])
@pytest.mark.parametrize("several", [False, True])
def test_a_temperature_is_found_again(model: TextModel, temperature: float, several: bool) -> None:
    text = written(model, 20_000)
    if several:
        model = replace(model, network=NetworkAverage([model.network, model.network]))  # type: ignore[list-item]
    assert calibrate(model, text) is None
    found = calibrate(replace(model, network=model.network.with_temperature(1 / temperature)), text)
    assert found is not None
    assert found.temperature == pytest.approx(temperature)
    assert found.nats < found.nats_before


@pytest.mark.parametrize(("temperature", "length"), [(0.95, 150), (0.5, 40)])
def test_a_gain_that_may_be_chance_changes_nothing(model: TextModel, temperature: float, length: int) -> None:
    sharper = replace(model, network=model.network.with_temperature(temperature))
    assert calibrate(sharper, written(model, length)) is None


def test_weights_that_are_not_numbers_are_not_calibrated(model: TextModel) -> None:
    model.one_network.weights["output.bias"][:] = np.nan
    assert calibrate(model, tokenize([Document("ab" * 100)], model.vocabulary)) is None


def test_a_long_text_is_not_read_again(train: Train, noise: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(validation, "MOST_CALIBRATING", 100)
    assert "divided by" not in train(noise, *MEMORIZED).stderr

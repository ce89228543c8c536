"""`chargen summary` and `chargen train --summary` print what Keras's `model.summary()` does."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from chargen.insight.layers import layer_rows
from chargen.settings.schema import NetworkConfig
from chargen.training.devices.backend import load_backend
from tests.cli.results import assert_one_line
from tests.export.forms import FORMS, T, V, name_of

Invoke = Callable[..., Result]


@pytest.mark.parametrize("config", FORMS, ids=name_of)
def test_the_rows_are_those_of_keras(config: NetworkConfig) -> None:
    load_backend()
    from chargen.training.stock_keras import stock_model

    model = stock_model(config, V, context_length=T)
    kinds = {"InputLayer", "Embedding", "BatchNormalization", "LayerNormalization", "SimpleRNN", "LSTM", "GRU", "Dense"}
    expected = {
        layer.name: (type(layer).__name__, layer.count_params()) for layer in model.layers if type(layer).__name__ in kinds
    }
    rows = layer_rows(config, V, context_length=T)
    assert {row.name: (row.kind, row.parameters) for row in rows if row.kind in kinds} == expected
    assert sum(row.parameters for row in rows) == model.count_params()
    assert sum(row.non_trainable for row in rows) == sum(weight.shape[0] for weight in model.non_trainable_weights)
    for row in rows:
        if config.cell != "dense" and row.name in expected:
            output = model.get_layer(row.name).output
            assert (None, *row.shape) == tuple(output.shape)


def test_a_run_has_a_summary(invoke: Invoke, write_run: Callable[..., Path]) -> None:
    write_run()
    shown = invoke("summary").stdout
    assert " Layer (type)" in shown
    assert "recurrent_0 (LSTM)" in shown
    assert "and id 0, the boundary before and after each text" in shown
    told = json.loads(invoke("summary", "noise", "--json").stdout)
    assert f"Total params: {told['total_params']:,}" in shown
    assert [layer["type"] for layer in told["layers"]] == ["InputLayer", "Embedding", "LSTM", "Dense"]


def test_a_classifier_has_one(invoke: Invoke, write_classifier: Callable[..., Path]) -> None:
    write_classifier()
    assert json.loads(invoke("summary", "critic", "--json").stdout)["layers"][-1]["output_shape"] == [None, 1]


def test_training_prints_one(invoke: Invoke, in_folder: Path) -> None:
    small = ("--config", "plain", "--hidden-size", 4, "--epochs", 1, "--sample-every", 0, "--backend", "numpy")
    result = invoke("train", "tiny.txt", "--summary", "--cell", "SimpleRNN", "--dropout", 0.1, *small)
    assert result.exit_code == 0, result.stderr
    assert "recurrent_0 (SimpleRNN)" in result.stderr
    assert "dropout_0 (Dropout)" in result.stderr
    assert result.stderr.count("Total params") == 1
    assert result.stdout.count("\n") == 1


def test_numbers_without_commas_are_explained(invoke: Invoke, in_folder: Path, write_run: Callable[..., Path]) -> None:
    write_run()
    result = invoke("train", "tiny.txt", "--diversity", 0.2, 1.0)
    assert_one_line(result, "no such file: 1.0; several diversities are separated by commas: --diversity 0.2,1.0")
    result = invoke("sample", "--temp", 0.2, 1.0)
    assert_one_line(result, "several numbers are separated by commas, such as --temp 0.2,1.0")

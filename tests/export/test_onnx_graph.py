"""An ONNX file computes the same as the NumPy network, in one run and step by step."""

import json
from typing import Any

import numpy as np
import pytest

from chargen.network.network import Network
from chargen.settings.schema import NetworkConfig
from tests.export.forms import FORMS, H, N, T, expected_logits, halved, make_model, name_of, some_ids

onnx = pytest.importorskip("onnx", reason="the optional onnx library is not installed")
runtime = pytest.importorskip("onnxruntime", reason="onnxruntime, which runs ONNX files, is not installed")

from chargen.export.onnx_graph import make_onnx  # noqa: E402


def session(content: bytes) -> Any:
    return runtime.InferenceSession(content, providers=["CPUExecutionProvider"])


def zero_state(network: Network) -> dict[str, np.ndarray]:
    names = ("hidden", "cell") if network.config.cell == "lstm" else ("hidden",)
    layers = range(network.config.num_layers)
    return {f"{name}.{layer}": np.zeros((N, H), np.float32) for layer in layers for name in names}


def run(opened: Any, ids: np.ndarray, state: dict[str, np.ndarray]) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    outputs = dict(zip([one.name for one in opened.get_outputs()], opened.run(None, {"ids": ids} | state), strict=True))
    return outputs.pop("logits"), {name.removeprefix("next_"): value for name, value in outputs.items()}


@pytest.mark.parametrize("config", FORMS, ids=name_of)
def test_logits_equal(config: NetworkConfig) -> None:
    model = make_model(config)
    opened = session(make_onnx(model, "float32"))
    expected = expected_logits(model.network, some_ids())
    given, _ = run(opened, some_ids(), zero_state(model.network))
    np.testing.assert_allclose(given, expected, atol=1e-5)
    state = zero_state(model.network)
    for column in range(T):
        given, state = run(opened, some_ids()[:, column : column + 1], state)
    last = expected if config.targets == "last" else expected[:, -1:]
    np.testing.assert_allclose(given, last, atol=1e-5)


@pytest.mark.parametrize("config", FORMS[-3:], ids=name_of)
def test_half_weights_are_those_of_the_rounded_network(config: NetworkConfig) -> None:
    model = make_model(config)
    given, _ = run(session(make_onnx(model, "float16")), some_ids(), zero_state(model.network))
    np.testing.assert_allclose(given, expected_logits(halved(model), some_ids()), atol=1e-5)


def test_the_tokens_come_along() -> None:
    content = make_onnx(make_model(FORMS[0]), "float32")
    properties = {one.key: one.value for one in onnx.load_model_from_string(content).metadata_props}
    assert json.loads(properties["chargen"])["vocabulary"]["characters"] == "abcde\n"
    assert content == make_onnx(make_model(FORMS[0]), "float32")

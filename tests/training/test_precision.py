"""What a precision means depends on the device and on the kernels."""

import pytest

from chargen.errors import ConfigError
from chargen.training.devices.backend import load_backend

load_backend()

from chargen.settings.schema import NetworkConfig  # noqa: E402
from chargen.training import model  # noqa: E402
from chargen.training.layers.recurrent import FusedRecurrent  # noqa: E402
from chargen.training.model import build_model, computing_in, describe_computing  # noqa: E402


@pytest.fixture(params=[None, "there is no C compiler (cc)"], ids=["kernels", "none"])
def lacking(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str | None:
    monkeypatch.setattr(model, "why_no_kernels", lambda products: request.param)
    return request.param


@pytest.mark.parametrize("precision", ["float32", "mixed_float16"])
def test_other_precisions_are_those_of_keras(precision: str, lacking: str | None) -> None:
    assert computing_in(precision) == (precision, "float32")


def test_mixed_bfloat16_rounds_products_alone_where_there_are_kernels(lacking: str | None) -> None:
    expected = ("mixed_bfloat16", "float32") if lacking else ("float32", "bfloat16")
    assert computing_in("mixed_bfloat16") == expected


def test_bfloat16_products_are_refused_where_there_are_no_kernels(lacking: str | None) -> None:
    if lacking is None:
        assert computing_in("bfloat16_products") == ("float32", "bfloat16")
        return
    with pytest.raises(ConfigError, match=r"no C compiler \(cc\); give --precision float32"):
        computing_in("bfloat16_products")


def test_it_is_said_what_layers_run_on(lacking: str | None) -> None:
    notes, details = describe_computing("float32")
    assert not notes
    assert (lacking or "are C kernels") in details[0]


@pytest.mark.parametrize("lacking", [None], indirect=True)
@pytest.mark.parametrize(("speed", "slower"), [(0.6, True), (2.0, False), (None, False)])
def test_it_is_said_where_products_of_bfloat16_are_slower(
    lacking: str | None, speed: float | None, slower: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model, "bfloat16_speed", lambda: speed)
    (note,), _ = describe_computing("bfloat16_products")
    assert ("is faster on this processor" in note) == slower
    _, details = describe_computing("float32")
    assert any(f"{speed} times as fast" in line for line in details) == (speed is not None)


@pytest.mark.parametrize("lacking", [None], indirect=True)
def test_every_recurrent_layer_is_told(lacking: str | None) -> None:
    built = build_model(
        NetworkConfig(cell="gru", num_layers=2, hidden_size=3, embedding_size=2),
        vocab_size=5,
        context_length=4,
        precision="bfloat16_products",
    )
    layers = [layer for layer in built._flatten_layers() if isinstance(layer, FusedRecurrent)]
    assert [layer.products for layer in layers] == ["bfloat16", "bfloat16"]

"""SampleText writes with any Keras model of tokens, in NumPy where chargen computes the model."""

import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from chargen.errors import ConfigError, UnknownTokenError
from chargen.training.devices.backend import load_backend

load_backend()

import keras  # noqa: E402
from keras import layers  # noqa: E402

from chargen.keras import SampleText, build, windows  # noqa: E402
from chargen.keras.slow_writing import KerasWriter  # noqa: E402
from chargen.settings.writing import SamplingOptions  # noqa: E402
from chargen.writing.sampling import Sampler  # noqa: E402

T, H, B = 4, 5, 3
TEXT = "the cat sat on the mat.\nthe dog sat on the log.\n" * 4
CHARACTERS = sorted(set(TEXT))
V = len(CHARACTERS)


def classic(*more: Any, num_tokens: int = V, batch_size: int | None = None, **options: Any) -> keras.Model:
    """Return a model with random weights over one-hot windows."""
    inputs = keras.Input((T, num_tokens), batch_size=batch_size)
    layer = layers.LSTM(H, stateful=batch_size is not None, **options)
    model = keras.Sequential([inputs, layer, *more, layers.Dense(num_tokens, activation="softmax")])
    rng = np.random.default_rng(3)
    model.set_weights([rng.normal(0, 1, weight.shape) for weight in model.get_weights()])
    return model


def written(model: keras.Model, given: Any = TEXT, **options: Any) -> list[Any]:
    callback = SampleText(given, **{"length": 12, "diversity": (0.5, 1.0)} | options)
    callback.set_model(model)
    return callback.write(1)


def test_fit_prints_and_keeps_the_texts(capsys: pytest.CaptureFixture[str]) -> None:
    data = windows(TEXT, context_length=T, batch_size=8)
    model = classic(num_tokens=data.vocab_size)
    model.compile("adam", "categorical_crossentropy")
    callback = SampleText(data, diversity=0.5, every=2, length=7)
    model.fit(data.training, epochs=3, verbose=0, callbacks=[callback])
    ((epoch, prompt, diversity, text),) = callback.samples
    assert (epoch, diversity) == (2, 0.5)
    assert prompt in TEXT
    assert len(text) == len(prompt) + 7
    assert text.startswith(prompt)
    shown = capsys.readouterr().out
    assert f'----- Generating text after epoch 2\n----- diversity: 0.5\n----- Generating with seed: "{prompt}"\n{text}' in shown


@pytest.mark.parametrize(
    "model",
    [
        lambda: classic(),
        lambda: classic(num_tokens=V + 1),
        lambda: classic(batch_size=B),
        lambda: classic(batch_size=B, return_sequences=True),
        lambda: build(V, hidden_size=H, embedding=2),
        lambda: build(V, hidden_size=H, embedding=2, batch_size=B, context_length=T, softmax=True),
        lambda: classic(layers.LayerNormalization(), num_tokens=V),  # one that chargen does not compute
        lambda: classic(layers.LayerNormalization(), batch_size=B, return_sequences=True),
    ],
    ids=["chars", "with boundary", "stateful", "stateful, every step", "ids", "stateful ids", "slow", "slow, stateful"],
)
def test_every_kind_of_model_writes_known_characters(model: Any) -> None:
    rows = written(model())
    assert [diversity for _, _, diversity, _ in rows] == [0.5, 1.0]
    for _, prompt, _, text in rows:
        assert len(text) == len(prompt) + 12
        assert set(text) <= set(TEXT)


@pytest.mark.parametrize("num_tokens", [V, V + 1])
def test_calling_keras_writes_what_numpy_writes(num_tokens: int) -> None:
    model = classic(num_tokens=num_tokens)
    callback = SampleText(TEXT, length=12, diversity=0.7)
    callback.set_model(model)
    slow = KerasWriter(model, callback.vocabulary, (), input_shape=model.input_shape, context_length=T, length=12)
    ids = callback.vocabulary.encode("the cat"[-T:])
    texts = [
        write(ids, Sampler(SamplingOptions(temperature=(0.7,))), np.random.default_rng(5))
        for write in (slow, callback._writer(model.input_shape, T))
    ]
    assert texts[0] == texts[1]


def test_the_states_of_a_model_stay_as_they_are() -> None:
    model = classic(layers.LayerNormalization(), batch_size=B)
    model.predict_on_batch(np.eye(V, dtype=np.float32)[np.zeros((B, T), int)])
    (layer,) = (one for one in model.layers if isinstance(one, layers.LSTM))
    before = [np.array(one) for one in layer.states]
    assert np.abs(before[0]).max() > 0
    written(model)
    for state, value in zip(layer.states, before, strict=True):
        np.testing.assert_array_equal(np.array(state), value)


@pytest.mark.parametrize("given", [CHARACTERS, {one: number for number, one in enumerate(CHARACTERS)}, "".join(CHARACTERS)])
def test_a_vocabulary_alone_needs_a_prompt(given: Any) -> None:
    model = classic()
    if not isinstance(given, str):
        ((_, prompt, _, text), _) = written(model, given, prompt="the dog ")
        assert (prompt, text[:8], len(text)) == ("the dog ", "the dog ", 20)
        with pytest.raises(ConfigError, match="give prompt, or the text"):
            SampleText(given)
    with pytest.raises(UnknownTokenError, match="'z'") as raised:
        SampleText(given, prompt="zebra")
    assert raised.value.hint == "leave it out of the prompt"


def test_a_model_of_another_size_is_one_clear_error() -> None:
    with pytest.raises(ConfigError, match=f"the model has {V + 2} outputs, the vocabulary has {V + 1} tokens"):
        written(classic(num_tokens=V + 2))
    images = keras.Sequential([keras.Input((5, 5, 3)), layers.Dense(V)])
    with pytest.raises(ConfigError, match="SampleText is for models from ids"):
        written(images)
    with pytest.raises(ConfigError, match="every is 0"):
        SampleText(TEXT, every=0)


def test_an_active_run_gets_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    logged: list[Any] = []
    run = SimpleNamespace(log=lambda row, commit: logged.append((row, commit)))
    table = lambda columns, data: (columns, data)  # noqa: E731
    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(run=run, Table=table))
    callback = SampleText(TEXT, length=3, diversity=(0.5,))
    callback.set_model(classic())
    callback.on_epoch_end(0)
    callback.on_epoch_end(1)
    columns, rows = logged[1][0]["samples"]
    assert columns == ["epoch", "prompt", "diversity", "text"]
    assert [row[0] for row in rows] == [1, 2]


class Own(keras.Model):
    """A model that keeps its shapes to itself, as one of a lecture may."""

    def __init__(self, num_tokens: int) -> None:
        super().__init__()
        self.recurrent, self.output_layer = layers.GRU(H), layers.Dense(num_tokens, activation="softmax")

    def call(self, inputs: Any) -> Any:
        return self.output_layer(self.recurrent(inputs))


def test_a_subclass_of_model_takes_the_shape_of_the_windows() -> None:
    data = windows(TEXT, context_length=T, batch_size=8)
    model = Own(data.vocab_size)
    model.compile("adam", "categorical_crossentropy")
    callback = SampleText(data, diversity=0.5, prompt="the ", length=4)
    model.fit(data.training, steps_per_epoch=1, verbose=0, callbacks=[callback])
    assert len(callback.samples[0][-1]) == 8
    with pytest.raises(ConfigError, match=r"Own is a subclass of keras.Model, .*; give SampleText what windows"):
        written(model, data.vocabulary, prompt="the ")


def test_a_wrong_diversity_is_named() -> None:
    for wrong, told in ((-1, "diversity is -1.0, expected 0 or more"), ("hot", "diversity is 'hot', expected a number")):
        with pytest.raises(ConfigError, match=told):
            SampleText(TEXT, diversity=wrong)  # type: ignore[arg-type]

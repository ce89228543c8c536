"""Use all of `chargen.keras` on a backend, and write what comes out: python -m tests.keras.first_fit BACKEND FOLDER."""

import sys
from pathlib import Path
from typing import Any

import numpy as np

from chargen.training.devices.backend import load_backend

TEXT = "the cat sat on the mat.\nthe dog sat on the log.\n" * 6
KINDS = ("SimpleRNN", "LSTM", "GRU")
T, H, B, E = 5, 7, 4, 3

Arrays = dict[str, np.ndarray]


def drawn(model: Any) -> Any:
    """Give a model weights that are the same on every backend."""
    rng = np.random.default_rng(4)
    model.set_weights([rng.normal(0, 0.4, weight.shape) for weight in model.get_weights()])
    return model


def fitted(kind: str, folder: Path) -> Arrays:
    """Return the losses and outputs of a plain Keras model with a layer of chargen, after `fit`, after each way of saving."""
    import keras

    import chargen
    from chargen import keras as ours

    data = ours.windows(TEXT, context_length=T, stride=1, batch_size=B, shuffle=False)
    inputs, _ = data.training[0]

    def model(layer: Any) -> Any:
        hidden = [layer(H, return_sequences=True), keras.layers.Dropout(0.0), layer(H)]
        made = keras.Sequential([keras.Input((T, data.vocab_size)), *hidden, keras.layers.Dense(data.vocab_size, "softmax")])
        made.compile(keras.optimizers.Adam(0.01), "categorical_crossentropy")
        return drawn(made)

    own, stock = model(getattr(ours, kind)), model(getattr(keras.layers, kind))
    sampling = ours.SampleText(data, diversity=(0.5,), prompt="the ", length=9)
    options: Any = {"validation_data": data.validation, "epochs": 2, "verbose": 0, "shuffle": False}
    losses = own.fit(data.training, callbacks=[sampling], **options).history
    expected = stock.fit(data.training, **options).history
    own.save(folder / "own.keras")
    ours.save(own, data, folder / "own.safetensors")
    back = chargen.load(folder / "own.safetensors")
    return {
        "losses": np.array([losses["loss"], losses["val_loss"]]),
        "stock": np.array([expected["loss"], expected["val_loss"]]),
        "outputs": own.predict(inputs, verbose=0),
        "loaded": keras.models.load_model(folder / "own.keras").predict(inputs, verbose=0),
        "from file": back.keras_model(softmax=True).predict(inputs.argmax(-1), verbose=0),
        "texts": np.array([text for *_, text in sampling.samples]),
    }


def built(folder: Path) -> Arrays:
    """Return the losses and texts of a model of chargen's settings, fitted to arrays."""
    import keras

    from chargen import keras as ours

    ids = ours.windows(TEXT, context_length=T, stride=T, batch_size=B, one_hot=False, targets="all", shuffle=False)
    sizes: Any = {"cell": "gru", "layers": 2, "hidden_size": H, "embedding": E, "layer_norm": True}
    model = drawn(ours.build(ids, **sizes, context_length=T, time_distributed=True))
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    sampling = ours.SampleText(ids, diversity=(1.0,), prompt="the ", length=9)
    options: Any = {"batch_size": B, "epochs": 2, "shuffle": False, "verbose": 0, "callbacks": [sampling]}
    losses = model.fit(*ids.training.arrays(), **options).history["loss"]
    ours.save(model, ids, folder / "built.safetensors")
    return {"losses": np.array(losses), "texts": np.array([text for *_, text in sampling.samples])}


def other() -> Arrays:
    """Return the texts of a model that chargen does not compute, with a mask and in both directions."""
    import keras

    from chargen import keras as ours

    ids = ours.windows(TEXT, context_length=T, batch_size=B, one_hot=False, shuffle=False)
    model = keras.Sequential(
        [
            keras.Input((T,)),
            keras.layers.Embedding(ids.vocab_size, E, mask_zero=True),
            keras.layers.Bidirectional(ours.LSTM(H, return_sequences=True)),
            ours.GRU(H),
            keras.layers.Dense(ids.vocab_size, "softmax"),
        ]
    )
    drawn(model).compile("adam", "sparse_categorical_crossentropy")
    sampling = ours.SampleText(ids, diversity=(0.7,), prompt="the ", length=6)
    arrays = [array[: B * 6] for array in ids.training.arrays()]
    losses = model.fit(*arrays, batch_size=B, epochs=1, shuffle=False, verbose=0, callbacks=[sampling]).history["loss"]
    return {"losses": np.array(losses), "texts": np.array([text for *_, text in sampling.samples])}


def main(backend: str, folder: Path) -> None:
    """Write the arrays of each form to a file of its own."""
    load_backend(backend)
    forms = {kind: fitted(kind, folder) for kind in KINDS} | {"build": built(folder), "other": other()}
    for name, arrays in forms.items():
        np.savez(folder / f"{backend}-{name}.npz", **arrays)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))

"""Try distillation (Hinton et al. 2015): train a network on the averaged predictions of several, in place of the text's tokens.

It writes as fast as one network. Whether it is worth its training is judged against the networks that it learnt from,
their average, and one network that is trained for as long as all of them together. All read windows of 128 characters from a
zero state, and are measured so on the last tenth of the text; no setting is chosen by it.
"""

import math
from typing import Any

from benchmarks.commands import SHARED_TEXTS

Rows = list[dict[str, Any]]

TEXT, CHARACTERS = "nietzsche", 100_000
T, B, UNITS, EMBEDDING, RATE, DROPOUT = 128, 32, 256, 64, 4e-3, 0.3
NETWORKS, EPOCHS = 3, 30
SHARES = (0.5, 1.0)  # of the networks' predictions in what a distilled network learns; the rest is the text


def measure(*, scale: float = 1.0) -> Rows:
    """Train all networks for `scale` times thirty epochs; return nats a character on the last tenth."""
    import numpy as np

    from chargen.training.devices.backend import load_backend

    load_backend("tensorflow")
    text = (SHARED_TEXTS / f"{TEXT}.txt").read_text(encoding="utf-8")[:CHARACTERS]
    tokens = {character: number for number, character in enumerate(sorted(set(text)))}
    ids = np.array([tokens[character] for character in text], np.int32)
    cut = int(0.9 * len(ids))
    training, test = _windows(ids[:cut]), _windows(ids[cut:])
    one_hot = np.eye(len(tokens), dtype=np.float32)[training[:, 1:]]
    epochs = max(1, round(EPOCHS * scale))
    networks = [_trained(training, one_hot, epochs, seed) for seed in range(1, NETWORKS + 1)]
    alone = [_nats(network(test[:, :-1]), test) for network in networks]
    together = _nats(np.mean([network(test[:, :-1]) for network in networks], axis=0), test)
    soft = np.mean([network(training[:, :-1]) for network in networks], axis=0)
    rows = [
        _row("one network", alone, epochs),
        _row(f"{NETWORKS} networks, averaged", [together], NETWORKS * epochs),
    ]
    for share in SHARES:
        targets = share * soft + (1 - share) * one_hot
        distilled = _trained(training, targets, epochs, NETWORKS + 1)
        what = f"one network that learns {share:.0%} from their average"
        rows.append(_row(what, [_nats(distilled(test[:, :-1]), test)], (NETWORKS + 1) * epochs))
    longer = _trained(training, one_hot, (NETWORKS + 1) * epochs, 1)
    rows.append(_row("one network, trained as long", [_nats(longer(test[:, :-1]), test)], (NETWORKS + 1) * epochs))
    return rows


def _windows(ids: Any) -> Any:
    """Return the windows of a text and the token after each, (N, T + 1)."""
    import numpy as np

    return np.stack([ids[place : place + T + 1] for place in range(0, len(ids) - T, T)])


def _trained(windows: Any, targets: Any, epochs: int, seed: int) -> Any:
    """Train a network from random weights; return a function from ids, (N, T), to probabilities, (N, T, V)."""
    import keras

    from chargen.keras import LSTM

    keras.utils.set_random_seed(seed)
    vocab_size = targets.shape[-1]
    model = keras.Sequential(
        [
            keras.Input((T,), dtype="int32"),
            keras.layers.Embedding(vocab_size, EMBEDDING),
            LSTM(UNITS, return_sequences=True),
            keras.layers.Dropout(DROPOUT, noise_shape=(None, 1, UNITS)),  # the same units at all positions
            keras.layers.Dense(vocab_size, activation="softmax"),
        ]
    )
    steps = math.ceil(len(windows) / B) * epochs
    rate = keras.optimizers.schedules.CosineDecay(0.0, steps, warmup_target=RATE, warmup_steps=steps // 30)
    model.compile(keras.optimizers.AdamW(rate, weight_decay=0.05, beta_2=0.98, clipnorm=1.0), "categorical_crossentropy")
    model.fit(windows[:, :-1], targets, batch_size=B, epochs=epochs, verbose=0)
    return lambda ids: model.predict(ids, batch_size=B, verbose=0)


def _nats(probabilities: Any, windows: Any) -> float:
    import numpy as np

    found = np.take_along_axis(probabilities, windows[:, 1:, None], axis=2)
    return float(-np.log(found).mean())


def _row(what: str, nats: list[float], epochs: int) -> dict[str, Any]:
    named = f"{what}, {epochs} epochs in all"
    return {"what": named, "unit": "nats", "median": sum(nats) / len(nats), "min": min(nats), "max": max(nats)}

"""The classic character-level text generator, as in the well-known demo, written independently.

One tensor of one-hot windows, one LSTM layer, a softmax over the next character, and sample text with one `model.predict` per
character after every epoch.
"""

import time
from typing import Any

import numpy as np

CONTEXT_LENGTH, STRIDE, HIDDEN_SIZE, BATCH_SIZE, LEARNING_RATE = 200, 3, 128, 256, 0.001
SAMPLE_CHARACTERS = 400  # an epoch: 200 at each of two diversities


class ClassicGenerator:
    """The demo's model of a text."""

    def __init__(self, text: str) -> None:
        from chargen.training.devices.backend import load_backend

        load_backend()
        import keras
        import tensorflow as tf

        keras.utils.set_random_seed(1)
        self.text = text
        self.characters = sorted(set(text))
        self._ids = {character: number for number, character in enumerate(self.characters)}
        starts = range(0, len(text) - CONTEXT_LENGTH, STRIDE)
        inputs = np.stack([self._one_hot(text[start : start + CONTEXT_LENGTH]) for start in starts])
        targets = np.stack([self._one_hot(text[start + CONTEXT_LENGTH])[0] for start in starts])
        self._model = keras.Sequential(
            [
                keras.Input((CONTEXT_LENGTH, len(self.characters))),
                keras.layers.LSTM(HIDDEN_SIZE),
                keras.layers.Dense(len(self.characters), activation="softmax"),
            ]
        )
        self._model.compile(keras.optimizers.RMSprop(LEARNING_RATE), "categorical_crossentropy")
        options = tf.data.Options()
        options.autotune.enabled = False  # autotuning delays the return of `fit` by up to ten seconds
        dataset = tf.data.Dataset.from_tensor_slices((inputs, targets)).shuffle(len(inputs), seed=1)
        self._dataset = dataset.batch(BATCH_SIZE).with_options(options)

    def _one_hot(self, text: str) -> np.ndarray:
        return np.eye(len(self.characters), dtype=np.float32)[[self._ids[character] for character in text]]

    def train(self, epochs: int) -> float:
        """Train and return the seconds."""
        began = time.perf_counter()
        self._model.fit(self._dataset, epochs=epochs, verbose=0)
        return time.perf_counter() - began

    def sample(self, length: int = SAMPLE_CHARACTERS) -> float:
        """Write text after the last window of the corpus and return the seconds."""
        began = time.perf_counter()
        rng, window = np.random.default_rng(1), self._one_hot(self.text[-CONTEXT_LENGTH:])
        for _ in range(length):
            probabilities = self._model.predict(window[None], verbose=0)[0].astype(np.float64)
            chosen = rng.choice(len(probabilities), p=probabilities / probabilities.sum())
            window = np.concatenate([window[1:], np.eye(len(self.characters), dtype=np.float32)[[chosen]]])
        return time.perf_counter() - began

    def cross_entropy(self, continuation: str) -> float:
        """Return the mean cross-entropy, in nats a character, of a text that follows the corpus."""
        whole = self._one_hot(self.text + continuation)
        ends = range(len(self.text), len(whole))
        windows = np.stack([whole[end - CONTEXT_LENGTH : end] for end in ends])
        probabilities: Any = self._model.predict(windows, verbose=0)
        return float(-np.log((probabilities * whole[len(self.text) :]).sum(axis=1)).mean())

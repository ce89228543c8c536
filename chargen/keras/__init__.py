"""Use chargen's parts in your own Keras program: layers, windows of a text, sample texts, model files.

>>> from chargen.keras import LSTM, SampleText, build, save, windows

`LSTM`, `GRU` and `SimpleRNN` replace the layers of `keras.layers`, `MultiplicativeLSTM` is one more, `windows` cuts a text for
`fit`, `SampleText` is a callback that writes text after an epoch, `build` makes a model of chargen's settings, and `save`
writes a Keras model as a model file, which every command of chargen reads. Importing this module imports Keras.
"""

from chargen.keras.building import build
from chargen.keras.layers import GRU, LSTM, MultiplicativeLSTM, SimpleRNN
from chargen.keras.sample_text import SampleText
from chargen.keras.saving import save
from chargen.keras.text_windows import WindowDataset, Windows, windows

__all__ = [
    "GRU",
    "LSTM",
    "MultiplicativeLSTM",
    "SampleText",
    "SimpleRNN",
    "WindowDataset",
    "Windows",
    "build",
    "save",
    "windows",
]

"""Train a SimpleRNN, LSTM or GRU on any text file, and write more of it."""

__version__ = "0.1.0"

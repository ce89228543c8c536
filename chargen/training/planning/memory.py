"""Estimate the memory that a training needs, and how many steps to take without returning to Python."""

import os

from chargen.corpus.corpus import Corpus
from chargen.errors import ConfigError
from chargen.settings.schema import NetworkConfig
from chargen.training.planning.windows import WindowSizes

FLOAT_BYTES = 4
BYTES_PER_CHARACTER = 8  # the text, its documents, their ids
VALUES_PER_UNIT = 9  # gates, factors and states of a multiplicative LSTM, the largest cell
COPIES_OF_WEIGHTS = 4  # the weights, their gradients, two optimizer slots
COPIES_OF_ACTIVATIONS = 3  # forward values kept for the backward pass, their gradients, temporaries
WORK_PER_EXECUTION = 1.2e11  # floating-point operations: 100 to 800 ms, so that Python between two executions costs little
WORK_ON_GPU, MOST_STEPS_ON_GPU = 2e12, 32  # a small network waits for each step of its windows, however little it computes


def choose_steps_per_execution(num_parameters: int, tokens: int, *, gpu: bool) -> int:
    """Return how many steps of so many tokens to take at once: a step does 6 operations for each weight and token."""
    steps = max(1, int((WORK_ON_GPU if gpu else WORK_PER_EXECUTION) / (6 * num_parameters * tokens)))
    return min(steps, MOST_STEPS_ON_GPU) if gpu else steps


def estimate_memory(
    network: NetworkConfig, windows: WindowSizes, *, vocab_size: int, num_parameters: int, corpus: Corpus
) -> int:
    """Return the memory of a training in bytes, roughly: the text, its ids, the weights and one batch."""
    positions = windows.batch_size * windows.context_length
    width = network.embedding_size or vocab_size
    recurrent = network.num_layers * network.hidden_size * VALUES_PER_UNIT
    predicted = positions if network.targets == "all" else windows.batch_size
    batch = positions * (width + recurrent) + predicted * (network.dense_size + vocab_size)
    floats = COPIES_OF_WEIGHTS * num_parameters + COPIES_OF_ACTIVATIONS * batch
    return FLOAT_BYTES * floats + BYTES_PER_CHARACTER * corpus.num_characters_in_memory


def check_memory(needed: int) -> int:
    """Return the bytes that are needed. Raises ConfigError if the machine has less memory."""
    available = _machine_memory()
    if available is not None and needed > available:
        raise ConfigError(
            f"these settings need about {needed / 1e9:,.1f} GB of memory, this machine has {available / 1e9:.1f} GB",
            hint="lower --batch-size, --context-length or --hidden-size",
        )
    return needed


def _machine_memory() -> int | None:
    """Return the memory of this machine in bytes, or None if the system does not tell."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None

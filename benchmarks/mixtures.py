"""Compare means by which a network and its n-gram memory can be mixed: of probabilities, of their square roots, of logarithms.

The weight of each is chosen on the first half of a held-out text, and the figure is that of the second half.
"""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from chargen.insight.evaluation import EncodedText
from chargen.network.average import log_softmax
from chargen.network.model_file import load_model
from chargen.runs.trained_text import as_documents
from chargen.writing.reading import expectations

POWERS = {"probabilities": 1.0, "square roots": 0.5, "logarithms": 0.0}
WEIGHTS = np.arange(0, 61, 2) / 100
SMALLEST = 1e-30  # a probability, in a logarithm

Doubles = npt.NDArray[np.float64]


def compare_means(model_file: Path, text: Path) -> dict[str, tuple[float, float]]:
    """Return the weight and the nats a token of each mean, and of the network alone, for a model with a memory."""
    network, memory, targets = _predicted(model_file, text)
    half = len(targets) // 2
    first, second = ([one[part] for one in (network, memory, targets)] for part in (slice(half), slice(half, None)))
    found = {"network alone": (0.0, _nats(*second, 0.0, 0.0))}
    for name, power in POWERS.items():
        weight = float(WEIGHTS[np.argmin([_nats(*first, weight, power) for weight in WEIGHTS])])
        found[f"mean of {name}"] = weight, _nats(*second, weight, power)
    return found


def _predicted(model_file: Path, text: Path) -> tuple[Doubles, Doubles, npt.NDArray[np.integer]]:
    """Return the logarithms of the probabilities of all tokens under the network and the memory, (N, V), and the targets."""
    model = load_model(model_file)
    memory = model.memory
    if memory is None:
        raise ValueError(f"{model_file} has no n-gram memory")
    documents = as_documents([text.read_text("utf-8")], model, name=text.name, label=None, on_unknown="skip")
    stream = EncodedText.of(documents, model.vocabulary).stream
    contexts = memory.read(np.asarray(stream.ids[: stream.span])[None], memory.start(1))[0]
    some = [
        (log_softmax(one.logits), np.log(np.maximum(memory.probabilities(contexts[one.places]), SMALLEST)), one.targets)
        for one in expectations(model.with_memory(0), stream, in_order=True)
    ]
    network, grams, targets = map(np.concatenate, zip(*some, strict=True))
    return network, grams, targets


def _nats(network: Doubles, memory: Doubles, targets: npt.NDArray[np.integer], weight: float, power: float) -> float:
    """Return the nats a token under the mean of probabilities to a power, which is that of logarithms for a power of 0."""
    if power:
        mixed = np.log((1 - weight) * np.exp(power * network) + weight * np.exp(power * memory)) / power
    else:
        mixed = (1 - weight) * network + weight * memory
    return float(-log_softmax(mixed)[np.arange(len(targets)), targets].mean())

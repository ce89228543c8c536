"""Calibrate a trained network: divide its logits by the temperature for which held-out text costs least.

A network that has read a text often is too certain of its predictions (temperature scaling, Guo et al. 2017). The order of its
predictions does not change, only how probable they are.
"""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from chargen.corpus.windows import TokenStream
from chargen.network.average import average_logits
from chargen.network.model_file import TextModel
from chargen.writing.reading import expectations
from chargen.writing.sampling import Logits
from chargen.writing.scoring import Doubles, cross_entropies

TEMPERATURES = np.arange(16, 31) / 20  # 0.8 to 1.5
TOKENS_TO_CHOOSE = 50_000
FEWEST_TOKENS = 50  # with fewer, the gain of a temperature is chance
LEAST_GAIN, ERRORS = 0.001, 2  # nats a token, and standard errors of the gain, that it must exceed

CALIBRATED = "calibrated"  # in the provenance of a model: its temperature


class Calibration(NamedTuple):
    """A temperature, and the nats a token of the held-out text with it and without."""

    temperature: float
    nats: float
    nats_before: float

    def applied(self, model: TextModel) -> TextModel:
        """Return a model with its logits divided by the temperature."""
        known = {CALIBRATED: self.temperature}
        network = model.network.with_temperature(self.temperature)
        return dataclasses.replace(model, network=network, provenance={**model.provenance, **known})


def describe(found: Calibration, bits: float, bits_before: float) -> str:
    """Return a line about a calibration, given the bits a character with it and without."""
    certain = "too" if found.temperature > 1 else "not enough"
    return (
        f"the network is {certain} certain, so its logits are divided by {found.temperature:g}: held-out text has {bits:.3f} "
        f"instead of {bits_before:.3f} bits a character (--no-calibrate leaves them)"
    )


def calibrate(model: TextModel, held_out: TokenStream) -> Calibration | None:
    """Return the calibration of a model without a memory, None if it gains nothing."""
    if held_out.num_targets < FEWEST_TOKENS:
        return None
    members = [model.member(number) for number in range(1, 1 + len(model.network.members))]
    logits, targets = predictions(members, held_out)
    some = slice(None, None, 1 + len(targets) // TOKENS_TO_CHOOSE)
    means = [costs([one[some] for one in logits], targets[some], temperature).mean() for temperature in TEMPERATURES]
    temperature = float(TEMPERATURES[np.argmin(means)])
    before, after = costs(logits, targets, 1.0), costs(logits, targets, temperature)
    gains = before - after
    if gains.mean() > max(LEAST_GAIN, ERRORS * gains.std() / np.sqrt(len(gains))):
        return Calibration(temperature, float(after.mean()), float(before.mean()))
    return None


def predictions(models: Sequence[TextModel], held_out: TokenStream) -> tuple[list[Logits], npt.NDArray[np.int32]]:
    """Return the logits, (N, V), of each of several models before the tokens of a text, and these tokens, (N,)."""
    read = [list(expectations(one, held_out)) for one in models]
    return [np.concatenate([one.logits for one in by_model]) for by_model in read], np.concatenate(
        [one.targets for one in read[0]]
    )


def costs(logits: Sequence[Logits], targets: npt.NDArray[np.integer], temperature: float) -> Doubles:
    """Return the nats of targets, (N,), under the mean of the networks' probabilities, given the logits of each, (N, V)."""
    cooled = [one / temperature for one in logits]
    return cross_entropies(average_logits(cooled) if len(cooled) > 1 else cooled[0], targets)

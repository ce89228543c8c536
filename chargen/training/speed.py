"""Measure how long optimizer steps and epochs take."""

import time
from collections.abc import Callable
from statistics import median

from chargen.memory.building import MOST_TOKENS
from chargen.training.planning.plan import Plan
from chargen.training.planning.validation import MOST_CALIBRATING
from chargen.training.trainer import Trainer

PROBE_SECONDS = 1.0
SECONDS_TO_FINISH = 4.0  # from the last step until the command has ended
SECONDS_PER_REMEMBERED = 3e-6  # of building the n-gram memory, for each character, about
SECONDS_PER_CALIBRATED = 1e-5, 1e-11  # of calibrating, for each held-out token, and for each weight that it is multiplied by
FORWARD_SHARE = 3  # a training step costs three times its forward pass


def validation_work(plan: Plan) -> float:
    """Return how many optimizer steps take as long as the validation after an epoch."""
    if not plan.validation:
        return 0.0
    tokens = plan.training.batch_size * plan.training.context_length
    return plan.validation.num_positions / tokens / FORWARD_SHARE


def seconds_after_training(plan: Plan) -> float:
    """Return about how long it takes from the last step until the command has ended, without validation."""
    training, per_token = plan.settings.training, SECONDS_PER_CALIBRATED
    remembered = min(plan.corpus.num_characters, MOST_TOKENS) if training.memory else 0
    calibrated = min(plan.validation.num_held_out, MOST_CALIBRATING) if training.calibrate and plan.validation else 0
    calibrating = (per_token[0] + per_token[1] * plan.num_parameters) * calibrated
    return SECONDS_TO_FINISH + SECONDS_PER_REMEMBERED * remembered + calibrating


def seconds_per_step(
    trainer: Trainer, plan: Plan, *, seconds: float = PROBE_SECONDS, choose: Callable[[list[float]], float] = min
) -> float:
    """Return the time of a compiled optimizer step, in seconds, chosen among the executions of some seconds.

    By default it is the shortest time: slower executions were held up by other processes.
    """
    trainer.prepare()
    trainer.begin_epoch()
    found: list[float] = []
    step, ends = 0, time.perf_counter() + seconds
    while not found or time.perf_counter() < ends:  # at least once, however busy the machine
        before = time.perf_counter()
        taken = trainer.train(0, step)
        trainer.figures()  # waits until the steps are done
        found.append((time.perf_counter() - before) / taken)
        step = (step + taken) % plan.training.num_steps
    return choose(found)


def seconds_per_epoch(trainer: Trainer, plan: Plan, *, seconds: float) -> float:
    """Return the usual time of an epoch with its validation, in seconds, measured for some seconds."""
    return seconds_per_step(trainer, plan, seconds=seconds, choose=median) * (plan.training.num_steps + validation_work(plan))

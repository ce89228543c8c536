"""Measure how fast this machine trains, and plan a training that makes the most of a time on it."""

import time
from dataclasses import replace
from typing import NamedTuple, final

from chargen.corpus.corpus import Corpus
from chargen.settings.schema import Settings
from chargen.training.devices.backend import gpu_name, load_backend
from chargen.training.devices.processor import WORTH_A_PRECISION, may_have_gpu
from chargen.training.planning.machine import OPERATIONS_PER_WEIGHT, Machine, assumed_gpu
from chargen.training.planning.pace import Deadline
from chargen.training.planning.recipes import Chosen, Recipe, choose_members, choose_recipe
from chargen.training.planning.text_plan import TextPlan, make_plan
from chargen.training.planning.transfer import Start
from chargen.training.recording.display import Display
from chargen.training.speed import seconds_after_training, seconds_per_epoch, validation_work
from chargen.training.text_task import TextTask

FIT_SECONDS, FIT_SHARE = 3.0, 0.05  # of training by which the speed is measured; the latter of a short time
MOST_MEASUREMENTS = 3  # of networks of different sizes
GPU_PRECISION = "mixed_bfloat16"


class Measurement(NamedTuple):
    """What was measured with a plan: the seconds of an epoch, and before the first step."""

    plan: TextPlan
    per_epoch: float
    to_start: float

    @property
    def operations(self) -> float:
        """Floating-point operations a second, as `Machine.operations`."""
        windows, steps = self.plan.windows, self.plan.training.num_steps
        positions = steps * windows.batch_size * windows.context_length
        return OPERATIONS_PER_WEIGHT * self.plan.num_parameters * positions / self.per_epoch

    def holds_for(self, plan: TextPlan) -> bool:
        """Whether a step of another plan takes as long."""
        return _work(self.plan) == _work(plan)


@final
class Fitting:
    """Plans a training that ends by a time of `time.perf_counter`.

    minutes: of the whole training, for the user.
    """

    def __init__(
        self, chosen: Chosen, corpus: Corpus, *, start: Start | None, ends_by: float, minutes: float, verbosity: int
    ) -> None:
        self._chosen, self._corpus, self._start = chosen, corpus, start
        self._ends_by, self._minutes, self._display = ends_by, minutes, Display(verbosity=verbosity)

    def plan(self, machine: Machine, *, epochs: int | None, several: bool) -> TextPlan:
        """Return the plan with the settings for the measured speed, and as many steps as fit into the time.

        machine: what is assumed of this machine, if it has no GPU. The steps are divided into so many `epochs`, or into a
        number that suits them. Several networks (training.members; with `several`, their number is chosen unless it is
        given) have equal shares of the time, and the plan is that of the first. A training that turns out slower or faster
        takes fewer or more steps (`chargen.training.planning.pace`).
        """
        self._display.note("measuring how fast this machine is")
        several = several and not self._chosen.any("training.members")
        machine = self._with_gpu(machine)
        members, recipe, plan = self._planned(machine, several)
        measured = self._measure(plan, members)
        if machine.gpu:
            machine, measured = self._with_precision(machine, measured, members)
        for _ in range(MOST_MEASUREMENTS - 1):
            overhead = measured.to_start + seconds_after_training(plan)
            machine = machine._replace(operations=measured.operations, overhead=overhead)
            members, recipe, plan = self._planned(machine, several)
            if measured.holds_for(plan):
                break
            measured = self._measure(plan, members)
        plan = replace(plan, reasons=(*reason_for_members(members), *recipe.reasons))
        return self._lasting(plan, measured, most_passes=recipe.most_passes, epochs=epochs)

    def _with_gpu(self, machine: Machine) -> Machine:
        """Return the GPU that the backend trains on, or the machine as it is."""
        settings = self._chosen.settings
        gpu = name_of_gpu(settings)
        return assumed_gpu(gpu, settings.network.cell) if gpu else machine

    def _planned(self, machine: Machine, several: bool) -> tuple[int, Recipe, TextPlan]:
        """Return how many networks to train, and the settings and the plan of one."""
        given = self._chosen.settings.training.members
        members = given
        if several:
            members = choose_members(self._corpus, self._chosen, minutes=self._minutes, machine=machine)
        recipe = choose_recipe(self._corpus, self._chosen, minutes=self._minutes / members, machine=machine)
        plan = plan_recipe(recipe, self._chosen, self._corpus, start=self._start, machine=machine)
        return members, recipe, plan.with_training(replace(plan.settings.training, members=members))

    def _measure(self, plan: TextPlan, members: int) -> Measurement:
        began = time.perf_counter()
        share = FIT_SHARE * (self._ends_by - began) / members
        trainer = TextTask(plan).make_trainer(Display(verbosity=0))
        trainer.prepare()
        to_start = time.perf_counter() - began
        return Measurement(plan, seconds_per_epoch(trainer, plan, seconds=min(FIT_SECONDS, share)), to_start)

    def _with_precision(self, machine: Machine, measured: Measurement, members: int) -> tuple[Machine, Measurement]:
        """Return the machine with 16-bit layers if they are much faster there, and what was measured."""
        if self._chosen.any("training.precision"):
            return machine, measured
        plan = measured.plan.with_training(replace(measured.plan.settings.training, precision=GPU_PRECISION))
        other = self._measure(plan, members)
        if measured.per_epoch < WORTH_A_PRECISION * other.per_epoch:
            return machine, measured
        self._display.note(
            f"{GPU_PRECISION} is {measured.per_epoch / other.per_epoch:.1f} times as fast as float32 here (--precision)"
        )
        return machine._replace(precision=GPU_PRECISION), other

    def _lasting(self, plan: TextPlan, measured: Measurement, *, most_passes: float, epochs: int | None) -> TextPlan:
        """Return the plan with as many steps as fit into the time that is left."""
        members = plan.settings.training.members
        left = (self._ends_by - time.perf_counter()) / members
        passes = max(0.0, left - seconds_after_training(plan)) / measured.per_epoch
        if epochs:  # `per_epoch` has a validation for each pass, there will be one for each epoch
            validation = validation_work(plan) / plan.training.num_steps  # in passes
            passes = max(0.0, passes * (1 + validation) - epochs * validation)
        most = max(1, round(most_passes * plan.training.num_steps))
        steps = max(1, min(int(passes * plan.training.num_steps), most))
        ends_by = self._ends_by - (members - 1) * left
        return plan.lasting(steps, epochs=epochs).within(Deadline(ends_by, most), steps)


def name_of_gpu(settings: Settings) -> str | None:
    """Return the name of the GPU that a training uses, or None; where there may be one, the backend is loaded to find out."""
    backend = settings.training.backend
    if backend == "numpy" or not may_have_gpu():
        return None
    load_backend(backend)
    return gpu_name()


def plan_recipe(recipe: Recipe, chosen: Chosen, corpus: Corpus, *, start: Start | None, machine: Machine) -> TextPlan:
    """Return the plan with the settings of a recipe. Raises what `make_plan` raises."""
    sections = {section: replace(getattr(chosen.settings, section), **values) for section, values in recipe.layer.items()}
    settings = replace(chosen.settings, **sections)
    return make_plan(settings, corpus, start=start, passes=recipe.passes, largest_batch=machine.largest_batch)


def reason_for_members(members: int) -> tuple[str, ...]:
    """Return a line about the number of networks, if there are several."""
    several = f"{members} networks, one after the other, each in an equal share of the time; they are averaged (--members)"
    return (several,) if members > 1 else ()


def _work(plan: TextPlan) -> tuple[object, ...]:
    """Return what the time of a step depends on, except for the kinds of dropout."""
    network, training = plan.settings.network, plan.settings.training
    sizes = (network.cell, network.num_layers, network.hidden_size, network.embedding_size)
    return (*sizes, plan.windows, training.precision)

"""Turn --preset or --minutes into a plan: choose settings and the number of optimizer steps."""

import time
from dataclasses import dataclass, replace

from chargen.cores import num_cores
from chargen.corpus.corpus import Corpus
from chargen.errors import ConfigError
from chargen.settings.layers import Resolved
from chargen.settings.schema import Settings
from chargen.training.devices.processor import multiplies_bfloat16
from chargen.training.planning.pace import Deadline
from chargen.training.planning.recipes import (
    DEFAULT_PRESET,
    PRESET_CORES,
    PRESETS,
    Chosen,
    Recipe,
    choose_members,
    choose_recipe,
)
from chargen.training.planning.text_plan import TextPlan, make_plan
from chargen.training.planning.transfer import Start
from chargen.training.recording.display import Display
from chargen.training.speed import seconds_after_training, seconds_per_epoch, validation_work
from chargen.training.text_task import TextTask

FIT_SECONDS, FIT_SHARE = 3.0, 0.05  # of training by which the speed is measured; the latter of a short time


@dataclass(frozen=True, kw_only=True)
class Budget:
    """The time that training may take.

    minutes: the time that settings are chosen for. exact: whether training ends within it on this machine (--minutes); if not
    (--preset), the same command takes the same number of steps on every machine. began: when the minutes began, by
    `time.perf_counter`.
    """

    minutes: float
    exact: bool
    began: float

    @property
    def seconds_left(self) -> float:
        """Seconds until the minutes are over."""
        return self.minutes * 60 - (time.perf_counter() - self.began)


def find_budget(
    preset: str | None, minutes: float | None, resolved: Resolved, *, began: float, new: bool, configured: bool
) -> Budget | None:
    """Return the budget of a training, or None if no settings are left to choose.

    new: whether it is not resumed. configured: whether a config gives its settings. With a config, or with the weights of
    another run, settings are chosen only if the user gives --preset or --minutes. Raises ConfigError for minutes that are not
    positive and for options that cannot be combined.
    """
    asked = {"--preset": preset, "--minutes": minutes}
    settings, command = resolved.settings, [name for name, value in asked.items() if value is not None]
    if len(command) > 1:
        raise ConfigError("--preset and --minutes cannot be used together", hint="give one of them")
    if command:
        _check(command[0], minutes, resolved, new=new)
    training = settings.training
    decided = not new or configured or training.start_from or training.backend == "numpy" or training.task == "classify"
    if decided and not command:
        return None
    return Budget(minutes=minutes or PRESETS[preset or DEFAULT_PRESET], exact=minutes is not None, began=began)


def _check(option: str, minutes: float | None, resolved: Resolved, *, new: bool) -> None:
    if minutes is not None and not 0 < minutes < 1e6:
        raise ConfigError(f"--minutes is {minutes:g}, expected a number above 0", hint="such as --minutes 10")
    if not new:
        raise ConfigError(f"{option} is for a new training and cannot be used with --resume", hint="leave one of them out")
    if resolved.settings.training.task == "classify":
        raise ConfigError(
            f"{option} is for writing text, but training.task = classify predicts labels", hint="leave one of them out"
        )
    if minutes is not None and resolved.origin["training.epochs"] != "default":
        raise ConfigError("--minutes and training.epochs both set the length of training", hint="leave one of them out")


def plan_within(
    budget: Budget,
    resolved: Resolved,
    corpus: Corpus,
    *,
    start: Start | None = None,
    epochs: int | None = None,
    verbosity: int = 1,
    measured: bool = True,
    alone: bool = True,
) -> TextPlan:
    """Choose the settings that are open and the number of steps for a budget. Raises what `make_plan` raises.

    The steps are divided into so many `epochs`, or into a number that suits them. measured: whether to measure the speed of
    this machine for an exact budget; if not, the number of steps is what the recipe expects. alone: whether no other machine
    trains along, whose processor may be another one.
    """
    chosen = Chosen.of(resolved)
    minutes = budget.minutes / resolved.settings.training.members
    cores = num_cores() if budget.exact else PRESET_CORES
    bfloat16 = alone and multiplies_bfloat16(resolved.settings.training.backend)
    recipe = choose_recipe(corpus, chosen, minutes=minutes, cores=cores, exact=budget.exact, bfloat16=bfloat16)
    plan = make_plan(_applied(recipe, resolved.settings), corpus, start=start, passes=recipe.passes)
    plan = replace(plan, reasons=(*_reason_for(resolved.settings.training.members), *recipe.reasons))
    if chosen.any("training.epochs"):
        return plan
    if not (budget.exact and measured):
        return plan.lasting(max(1, round(recipe.passes * plan.training.num_steps)), epochs=epochs)
    several = alone and epochs is None and not chosen.any("training.members")
    most_passes = recipe.most_passes
    return fit_into(
        plan, seconds=budget.seconds_left, most_passes=most_passes, epochs=epochs, several=several, verbosity=verbosity
    )


def _reason_for(members: int) -> tuple[str, ...]:
    """Return a line about the number of networks, if there are several."""
    several = f"{members} networks, one after the other, each in an equal share of the time; they are averaged (--members)"
    return (several,) if members > 1 else ()


def _reason_for_more(members: int) -> tuple[str, ...]:
    """Return a line about a number of networks that was chosen, if there are several."""
    more = f"more passes would only overfit, so there is time for {members} networks, which are averaged (--members)"
    return (more,) if members > 1 else ()


def _applied(recipe: Recipe, settings: Settings) -> Settings:
    sections = {section: replace(getattr(settings, section), **values) for section, values in recipe.layer.items()}
    return replace(settings, **sections)


def fit_into(
    plan: TextPlan,
    *,
    seconds: float,
    most_passes: float,
    epochs: int | None = None,
    several: bool = False,
    verbosity: int = 1,
) -> TextPlan:
    """Measure the speed of this machine and return the plan with as many steps as fit into so many seconds from now on.

    The steps are divided into so many `epochs`, or into a number that suits them. Several networks (training.members; with
    `several`, their number is chosen) have equal shares of the time, and the plan is that of the first. A training that turns
    out slower or faster takes fewer or more steps (`chargen.training.planning.pace`).
    """
    Display(verbosity=verbosity).note("measuring how fast this machine is")
    began, members = time.perf_counter(), plan.settings.training.members
    ends_by = began + seconds
    trainer = TextTask(plan).make_trainer(Display(verbosity=0))
    trainer.prepare()
    to_start = time.perf_counter() - began
    per_epoch = seconds_per_epoch(trainer, plan, seconds=min(FIT_SECONDS, FIT_SHARE * seconds / members))
    if several:
        members = choose_members(ends_by - time.perf_counter(), to_start + most_passes * per_epoch)
        plan = replace(
            plan.with_training(replace(plan.settings.training, members=members)),
            reasons=(*_reason_for_more(members), *plan.reasons),
        )
    left = (ends_by - time.perf_counter()) / members
    ends_by -= (members - 1) * left
    passes = max(0.0, left - seconds_after_training(plan)) / per_epoch
    if epochs:  # `per_epoch` has a validation for each pass, there will be one for each epoch
        validation = validation_work(plan) / plan.training.num_steps  # in passes
        passes = max(0.0, passes * (1 + validation) - epochs * validation)
    most = max(1, round(most_passes * plan.training.num_steps))
    steps = max(1, min(int(passes * plan.training.num_steps), most))
    return plan.lasting(steps, epochs=epochs).within(Deadline(ends_by, most), steps)

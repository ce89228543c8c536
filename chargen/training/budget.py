"""Turn --preset or --minutes into a plan: choose settings and the number of optimizer steps."""

from dataclasses import dataclass, replace

from chargen.cores import num_cores
from chargen.corpus.corpus import Corpus
from chargen.errors import ConfigError
from chargen.settings.layers import Resolved
from chargen.training.devices.processor import multiplies_bfloat16
from chargen.training.fitting import Fitting, plan_recipe, reason_for_members
from chargen.training.planning.machine import assumed_cores
from chargen.training.planning.recipes import DEFAULT_PRESET, PRESET_CORES, PRESETS, Chosen, choose_recipe
from chargen.training.planning.text_plan import TextPlan
from chargen.training.planning.transfer import Start


@dataclass(frozen=True, kw_only=True)
class Budget:
    """The time that training may take.

    minutes: the time that settings are chosen for. exact: whether training ends within it on this machine (--minutes); if not
    (--preset), the same command takes the same number of steps on every machine. began: when the minutes began, by
    `time.perf_counter`. given: whether the user has given it, by either option.
    """

    minutes: float
    exact: bool
    began: float
    given: bool = True

    @property
    def ends_by(self) -> float:
        """When the minutes are over, by `time.perf_counter`."""
        return self.began + 60 * self.minutes


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
    usual = PRESETS[preset or DEFAULT_PRESET]
    return Budget(minutes=minutes or usual, exact=minutes is not None, began=began, given=bool(command))


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
    chosen, training = Chosen.of(resolved), resolved.settings.training
    cores = num_cores() if budget.exact else PRESET_CORES
    bfloat16 = alone and multiplies_bfloat16(training.backend)
    machine = assumed_cores(cores, resolved.settings.network.cell, bfloat16=bfloat16)
    if budget.exact and measured and not chosen.any("training.epochs"):
        fitting = Fitting(chosen, corpus, start=start, ends_by=budget.ends_by, minutes=budget.minutes, verbosity=verbosity)
        return fitting.plan(machine, epochs=epochs, several=alone and epochs is None)
    minutes = budget.minutes / training.members
    recipe = choose_recipe(corpus, chosen, minutes=minutes, machine=machine, exact=budget.exact)
    plan = plan_recipe(recipe, chosen, corpus, start=start, machine=machine)
    plan = replace(plan, reasons=(*reason_for_members(training.members), *recipe.reasons))
    if chosen.any("training.epochs"):
        return plan
    return plan.lasting(max(1, round(recipe.passes * plan.training.num_steps)), epochs=epochs)

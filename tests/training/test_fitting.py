"""Settings are chosen for the speed that is measured, also on a GPU that is only pretended here."""

import math
import time
from collections.abc import Callable
from typing import Any

import pytest

from chargen.corpus.corpus import Corpus
from chargen.corpus.documents import Document, Documents
from chargen.settings.layers import Resolved, resolve
from chargen.settings.schema import Settings
from chargen.training import fitting, start
from chargen.training.budget import Budget, plan_within
from chargen.training.planning.machine import OPERATIONS_PER_WEIGHT, Machine, assumed_cores
from chargen.training.planning.recipes import MOST_MEMBERS, PASSES_OF_A_MEMBER, Chosen, choose_members, choose_recipe
from chargen.training.planning.text_plan import TextPlan

SENTENCE = "It was a dark night, and the rain fell in torrents.\n"
PROSE = Corpus("text", Documents.of([Document(SENTENCE * 20_000)]), "document", "0" * 64)
NAMES = Corpus("names", Documents.of(map(Document, ["anna", "hanna", "johanna"] * 20)), "line", "0" * 64)
CARD = "Pretended GPU"


def resolved(**sections: dict[str, Any]) -> Resolved:
    return resolve(("command line", sections))


class NoTrainer:
    """Stands for a task, where no step is taken."""

    def __init__(self, plan: TextPlan) -> None:
        pass

    def make_trainer(self, display: object) -> "NoTrainer":
        return self

    def prepare(self) -> None:
        pass


@pytest.fixture
def pretend(monkeypatch: pytest.MonkeyPatch) -> Callable[..., TextPlan]:
    """Return a function that plans a training on a machine whose steps take the seconds that a function says."""

    def plan(
        step_seconds: Callable[[TextPlan], float],
        *,
        minutes: float,
        gpu: str | None = None,
        **sections: Any,
    ) -> TextPlan:
        monkeypatch.setattr(fitting, "TextTask", NoTrainer)
        monkeypatch.setattr(fitting, "name_of_gpu", lambda settings: gpu)
        measured: list[TextPlan] = []

        def seconds_per_epoch(trainer: object, plan: TextPlan, seconds: float) -> float:
            measured.append(plan)
            return step_seconds(plan) * plan.training.num_steps

        monkeypatch.setattr(fitting, "seconds_per_epoch", seconds_per_epoch)
        budget = Budget(minutes=minutes, exact=True, began=time.perf_counter())
        found = plan_within(budget, resolved(**sections), PROSE, verbosity=0)
        assert fitting._work(found) in [fitting._work(one) for one in measured]
        return found

    return plan


def operations(plan: TextPlan) -> float:
    """Return the floating-point operations of a step."""
    return OPERATIONS_PER_WEIGHT * plan.num_parameters * plan.windows.batch_size * plan.windows.context_length


def test_the_speed_that_is_measured_decides_the_size(pretend: Callable[..., TextPlan]) -> None:
    one = {"training": {"members": 1}}
    slow, usual, fast = (
        pretend(lambda plan, rate=rate: operations(plan) / rate, minutes=2, **one) for rate in (5e9, 1e11, 3e12)
    )
    sizes = [plan.settings.network.hidden_size for plan in (slow, usual, fast)]
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[1] <= sizes[2]


def test_dropout_is_that_of_the_passes_that_fit(pretend: Callable[..., TextPlan]) -> None:
    """The steps here are twice as fast as assumed: the text is read twice as often."""
    given = {"network": {"hidden_size": 256}, "training": {"members": 1}}
    assumed = assumed_cores(2, "lstm").operations
    plan = pretend(lambda plan: operations(plan) / (2 * assumed), minutes=1, **given)
    passes = sum(plan.settings.training.schedule_steps) * plan.windows.batch_size * plan.windows.context_length
    expected = choose_recipe(PROSE, Chosen.of(resolved(**given)), minutes=1, machine=Machine("2 cores", 2 * assumed))
    assert plan.settings.network.dropout == expected.layer["network"]["dropout"]
    assert passes / PROSE.num_characters == pytest.approx(expected.passes, rel=0.3)


@pytest.mark.parametrize(("rate", "members"), [(1e9, 1), (1e15, 5)])
def test_several_networks_are_trained_if_each_reads_the_text_often(
    rate: float, members: int, pretend: Callable[..., TextPlan]
) -> None:
    plan = pretend(lambda plan: operations(plan) / rate, minutes=10)
    assert plan.settings.training.members == members
    assert any("networks, one after the other" in reason for reason in plan.reasons) == (members > 1)


@pytest.mark.parametrize("corpus", [PROSE, NAMES], ids=["prose", "names"])
def test_each_of_several_networks_reads_the_text_often_enough(corpus: Corpus) -> None:
    chosen, counts = Chosen.of(resolved()), []
    for exponent in range(6, 17):
        machine = Machine("a machine", 10.0**exponent, overhead=1.0)
        members = choose_members(corpus, chosen, minutes=2, machine=machine)
        recipe = choose_recipe(corpus, chosen, minutes=2 / members, machine=machine)
        enough = next(passes for most, passes in PASSES_OF_A_MEMBER if members <= most)
        assert members == 1 or recipe.passes >= min(enough, recipe.most_passes) * 0.9
        counts.append(members)
    assert (counts[0], counts[-1]) == (1, MOST_MEMBERS)


def test_an_option_decides_how_many_networks_there_are(pretend: Callable[..., TextPlan]) -> None:
    assert pretend(lambda plan: 1e-6, minutes=2, training={"members": 2}).settings.training.members == 2


def test_a_preset_trains_one_network() -> None:
    budget = Budget(minutes=1e5, exact=False, began=0.0)
    assert plan_within(budget, resolved(network={"hidden_size": 4}), NAMES).settings.training.members == 1


def launches(plan: TextPlan) -> float:
    """Return the seconds of a step on a GPU that waits for the host at each token, however large the network is."""
    return 1e-5 * plan.windows.context_length


def test_a_gpu_gets_large_networks_and_batches(pretend: Callable[..., TextPlan]) -> None:
    on_gpu = pretend(launches, minutes=5, gpu=CARD)
    on_cpu = pretend(launches, minutes=5)
    assert on_gpu.windows.batch_size > 32 >= on_cpu.windows.batch_size
    assert on_gpu.settings.network.hidden_size >= on_cpu.settings.network.hidden_size
    assert f"on {CARD} (--minutes)" in " ".join(on_gpu.reasons)
    assert on_gpu.settings.training.precision == "float32"


@pytest.mark.parametrize(("speed", "precision"), [(2.0, "mixed_bfloat16"), (1.1, "float32")])
def test_16_bits_are_chosen_on_a_gpu_that_is_much_faster_with_them(
    speed: float, precision: str, pretend: Callable[..., TextPlan]
) -> None:
    def step(plan: TextPlan) -> float:
        return launches(plan) / (speed if plan.settings.training.precision == "mixed_bfloat16" else 1)

    assert pretend(step, minutes=5, gpu=CARD).settings.training.precision == precision
    given = pretend(step, minutes=5, gpu=CARD, training={"precision": "float32"})
    assert given.settings.training.precision == "float32"


@pytest.mark.parametrize(
    ("given", "epochs", "gpu", "exact"),
    [(False, {}, CARD, True), (False, {}, None, False), (True, {}, CARD, False), (False, {"epochs": 3}, CARD, False)],
    ids=["nothing", "no GPU", "a preset", "epochs"],
)
def test_the_usual_minutes_are_those_of_the_gpu(
    given: bool,
    epochs: dict[str, int],
    gpu: str | None,
    exact: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def name_of_gpu(settings: Settings) -> str | None:
        return gpu

    monkeypatch.setattr(start, "name_of_gpu", name_of_gpu)
    found = start._for_gpu(Budget(minutes=5, exact=False, began=0.0, given=given), resolved(training=epochs), 1)
    assert found.exact == exact
    assert capsys.readouterr().err.startswith(f"training on {CARD}: as much as fits into 5 minutes") == exact
    assert math.isfinite(found.ends_by)

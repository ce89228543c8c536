from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargen.corpus.corpus import Corpus
from chargen.corpus.documents import Document, Documents
from chargen.errors import ConfigError
from chargen.scratch.network import supported
from chargen.settings.conflicts import check_together
from chargen.settings.layers import Resolved, resolve
from chargen.settings.schema import Settings, TrainingConfig, declared_settings
from chargen.training.budget import Budget, find_budget, plan_within
from chargen.training.devices import processor
from chargen.training.devices.processor import multiplies_bfloat16
from chargen.training.planning.machine import assumed_cores, assumed_gpu
from chargen.training.planning.recipes import PRESETS, Chosen, Recipe, choose_members, choose_recipe
from chargen.training.planning.text_plan import TextPlan, make_plan
from chargen.training.planning.validation import _spread
from chargen.training.trainer import resets_state

TWO_CORES = assumed_cores(2, "lstm")
PROSE = "It was a dark night, and the rain fell in torrents.\n"
NAMES = "\n".join(["Ada", "Alan", "Grace", "Barbara"] * 50)


def corpus(text: str, *, reading: str = "document") -> Corpus:
    texts = text.split("\n") if reading == "line" else [text]
    return Corpus("text", Documents.of(map(Document, texts)), reading, "0" * 64)


def resolved(**sections: dict[str, Any]) -> Resolved:
    return resolve(("command line", sections))


def recipe(text: str, *, minutes: float = 5.0, reading: str = "document", **sections: dict[str, Any]) -> Recipe:
    found = resolved(**sections)
    chosen = Chosen(found.settings, [name for name, origin in found.origin.items() if origin != "default"])
    return choose_recipe(corpus(text, reading=reading), chosen, minutes=minutes, machine=TWO_CORES)


def planned(text: str, *, minutes: float = 5.0, reading: str = "document", **sections: dict[str, Any]) -> TextPlan:
    budget = Budget(minutes=minutes, exact=False, began=0.0)
    return plan_within(budget, resolved(**sections), corpus(text, reading=reading))


def test_prose_is_read_with_the_state_carried_on_and_names_are_not() -> None:
    assert recipe(PROSE * 1000).layer["training"]["stateful"]
    assert "stateful" not in recipe(NAMES, reading="line").layer["training"]
    assert recipe(PROSE).layer["training"]["stateful"]
    assert "stateful" not in recipe(PROSE * 1000, training={"stride": 3}).layer["training"]


def test_networks_are_calibrated_unless_told() -> None:
    assert recipe(PROSE).layer["training"]["calibrate"]
    assert not planned(PROSE, training={"calibrate": False}).settings.training.calibrate


@pytest.mark.parametrize("training", [{"stateful": True}, {"stateful": False}, {"context_length": 64}])
def test_windows_of_prose_are_as_many_as_streams_would_be(training: dict[str, Any]) -> None:
    streams, windows = (planned(PROSE * 1000, training=one).settings.training for one in ({}, training))
    assert streams.batch_size == windows.batch_size == 8
    assert streams.context_length == windows.context_length == 64
    assert windows.jitter == training.get("stateful", False)


def test_long_texts_that_are_read_often_get_a_multiplicative_lstm_unless_told() -> None:
    def cell(text: str, **options: Any) -> str:
        return str(recipe(text, **options).layer["network"].get("cell"))

    assert [cell(PROSE * count) for count in (10, 800, 3000, 6000, 20_000)] == ["lstm", "lstm", "lstm", "mlstm", "mlstm"]
    assert [cell(PROSE * 20_000, minutes=minutes) for minutes in (2, 40)] == ["lstm", "mlstm"]
    assert [cell(PROSE * 6000, training={"epochs": epochs}) for epochs in (19, 20)] == ["lstm", "mlstm"]
    names = "\n".join(["Barbara"] * 30_000)
    assert [cell(names, reading="line", training={"epochs": epochs}) for epochs in (39, 40)] == ["lstm", "mlstm"]
    assert cell(names[:100_000], reading="line", training={"epochs": 60}) == "lstm"
    assert cell(PROSE * 6000, training={"backend": "torch"}) == "lstm"
    assert cell(PROSE * 6000, network={"cell": "gru"}) == "None"
    on_gpu = choose_recipe(corpus(PROSE * 6000), Chosen.of(resolved()), minutes=5, machine=assumed_gpu("a GPU", "lstm"))
    assert on_gpu.layer["network"]["cell"] == "lstm"
    assert "mlstm 1x256 (--cell, --hidden-size) reads" in recipe(PROSE * 6000).reasons[0]


def test_a_network_with_many_weights_for_each_character_loses_more_in_as_many_passes() -> None:
    def dropped(units: int, epochs: int) -> tuple[float, float]:
        network = recipe(PROSE * 6000, network={"hidden_size": units}, training={"epochs": epochs}).layer["network"]
        return network["dropout"], network["weight_drop"]

    assert dropped(256, 17) == (0, 0.1)
    assert dropped(512, 17) == dropped(1024, 17) == (0.3, 0.2)
    assert dropped(512, 5) == (0.2, 0.1)
    assert dropped(1024, 2) == (0, 0)


def test_with_fewer_than_two_weights_for_each_character_no_outputs_are_dropped() -> None:
    def dropped(length: int, epochs: int) -> tuple[float, float]:
        chosen = {"network": {"hidden_size": 256}, "training": {"epochs": epochs}}
        network = recipe(PROSE * length, **chosen).layer["network"]
        return network["dropout"], network["weight_drop"]

    assert [dropped(6000, epochs) for epochs in (2, 3, 30, 31, 60)] == [(0, 0), (0, 0.1), (0, 0.1), (0, 0.2), (0, 0.2)]
    assert (dropped(2000, 39), dropped(2000, 60)) == ((0.3, 0.2), (0.4, 0.3))


def test_the_shorter_a_text_the_more_is_dropped() -> None:
    def dropped(characters: int) -> tuple[float, float]:
        text = (PROSE * 4000)[:characters]
        network = recipe(text, network={"hidden_size": 256}, training={"epochs": 60}).layer["network"]
        return network["dropout"], network["weight_drop"]

    assert [dropped(count) for count in (3000, 11_000, 33_000, 110_000)] == [(0.6, 0.6), (0.55, 0.5), (0.45, 0.4), (0.4, 0.3)]


def test_a_text_may_have_more_weights_for_each_character_than_a_list() -> None:
    text = "\n".join(["A line of some words"] * 2000)
    assert [recipe(text, reading=reading).layer["network"]["hidden_size"] for reading in ("document", "line")] == [256, 128]


def test_512_units_are_for_a_time_in_which_each_weight_sees_enough_characters() -> None:
    sizes = [recipe(PROSE * 20_000, minutes=minutes).layer["network"]["hidden_size"] for minutes in (1, 8, 16)]
    assert sizes == [256, 256, 512]


def test_each_of_several_networks_reads_a_short_text_more_often_than_a_long_one() -> None:
    def fewest_passes(length: int) -> float:
        chosen, text = Chosen.of(resolved(network={"hidden_size": 256})), corpus(PROSE * length)
        enough = next(m for m in range(1, 2000) if choose_members(text, chosen, minutes=m / 10, machine=TWO_CORES) > 1)
        return choose_recipe(text, chosen, minutes=enough / 20, machine=TWO_CORES).passes

    assert fewest_passes(4000) < fewest_passes(600)


def test_windows_are_long_in_all_but_small_steps() -> None:
    def windows(minutes: float) -> tuple[int, int]:
        training = planned(PROSE * 20_000, minutes=minutes).settings.training
        return training.context_length, training.batch_size

    assert [windows(minutes) for minutes in (0.5, 1, 5)] == [(64, 8), (128, 8), (128, 16)]


def test_a_long_list_loses_more_of_a_large_network_a_short_list_does_not() -> None:
    def dropped(count: int, units: int, epochs: int = 20) -> tuple[float, float]:
        chosen = {"network": {"hidden_size": units}, "training": {"epochs": epochs}}
        network = recipe("\n".join(["Barbara"] * count), reading="line", **chosen).layer["network"]
        return network["dropout"], network["weight_drop"]

    assert dropped(30_000, 256) == dropped(1000, 256) == dropped(1000, 512) == (0.1, 0.2)
    assert dropped(30_000, 256, 33) == (0.2, 0.2)
    assert dropped(30_000, 512, 12) == (0.2, 0.3)
    assert dropped(1000, 256, 33) == (0.1, 0.2)
    assert dropped(30_000, 512) == (0.2, 0.4)


def test_muon_is_for_batches_of_many_tokens_and_padding_is_none() -> None:
    def optimizer(line: str, reading: str) -> Any:
        return recipe("\n".join([line] * 20_000), reading=reading).layer["training"]["optimizer"]

    assert optimizer("Barbara", "line") == "adamw"
    assert optimizer("A line as long as those of a poem or of a play", "line") == "muon"
    assert optimizer("Barbara", "document") == "muon"


@given(st.sampled_from([1, 30, 3000]), st.floats(0.1, 100), st.floats(1, 20))
def test_more_minutes_never_give_a_smaller_network(length: int, minutes: float, factor: float) -> None:
    less, more = (recipe(PROSE * length, minutes=one).layer["network"]["hidden_size"] for one in (minutes, minutes * factor))
    assert less <= more


def test_a_short_text_gets_a_small_network_however_long_it_may_take() -> None:
    sizes = [recipe(PROSE * length, minutes=1000).layer["network"]["hidden_size"] for length in (10, 1000, 100_000)]
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[-1]


def test_a_text_that_is_read_once_loses_nothing_and_one_that_is_read_often_does() -> None:
    once, often = recipe(PROSE * 300_000, minutes=1), recipe(PROSE * 1000, minutes=5)
    assert once.layer["network"]["dropout"] == once.layer["network"]["weight_drop"] == 0
    assert not once.layer["network"]["locked_dropout"]
    assert often.layer["network"]["dropout"] >= 0.2
    assert often.layer["network"]["locked_dropout"]


@pytest.mark.parametrize(
    ("text", "reading", "minutes"),
    [(PROSE * 6000, "document", 6), (PROSE * 20_000, "document", 20), (NAMES * 10, "line", 2), (NAMES * 40, "line", 2)],
)
def test_the_weights_of_a_text_that_is_read_often_decay_as_much_however_long_it_is(
    text: str, reading: str, minutes: float
) -> None:
    assert recipe(text, reading=reading, minutes=minutes).passes >= 18
    plan = planned(text, reading=reading, minutes=minutes)
    training, steps = plan.settings.training, plan.settings.training.epochs * plan.training.num_steps
    decayed = training.learning_rate / 2 * steps * training.weight_decay  # the mean rate of a cosine is half of the highest
    assert 1.4 < decayed < 2.2


def test_weights_decay_more_than_usual_only_where_a_text_is_read_often() -> None:
    def decay(text: str, **options: Any) -> float:
        return float(recipe(text, **options).layer["training"]["weight_decay"])

    often = decay(PROSE * 6000, minutes=6)
    assert often > 0.1
    assert decay(PROSE * 6000, minutes=6, training={"learning_rate": 0.006}) == pytest.approx(often / 2, rel=0.1)
    assert decay(PROSE * 6000, minutes=6, network={"targets": "last"}) == 0.05
    assert decay(PROSE * 6000, minutes=6, network={"weight_drop": 0.4}) == 0.05
    assert decay(PROSE * 300_000, minutes=1) == decay(PROSE * 40_000, minutes=3) == 0.05
    assert [decay(PROSE * count) for count in (4, 60, 1000)] == [0.5, 0.1, 0.05]  # of these, many weights are dropped
    chosen = recipe(PROSE * 6000, minutes=6, training={"weight_decay": 0.03})
    assert "weight_decay" not in chosen.layer["training"]
    assert chosen.reasons[-1].endswith("weight decay 0.03 (--weight-decay)")


@given(
    st.sampled_from(["lstm", "mlstm", "gru", "simplernn", "dense"]),
    st.sampled_from(["all", "last"]),
    st.sampled_from(["tensorflow", "numpy"]),
    st.sampled_from([PROSE * 9, PROSE * 999, NAMES]),
    st.dictionaries(
        st.sampled_from(["network.dropout", "network.hidden_size", "training.epochs", "training.optimizer", "training.stride"]),
        st.just(None),
    ),
)
def test_what_is_chosen_goes_with_what_was_given(
    cell: str, targets: str, backend: str, text: str, names: dict[str, None]
) -> None:
    values = {"dropout": 0.0, "hidden_size": 9, "epochs": 3, "optimizer": "sgd", "stride": 2}
    sections: dict[str, dict[str, Any]] = {"network": {"cell": cell, "targets": targets}}
    sections["training"] = {"backend": backend}
    for section, _, name in (one.partition(".") for one in names):
        sections.setdefault(section, {})[name] = values[name]
    reading = "line" if text == NAMES else "document"
    layer = recipe(text, reading=reading, **sections).layer
    together = {section: layer.get(section, {}) | sections.get(section, {}) for section in {*layer, *sections}}
    settings = resolved(**together).settings
    check_together(settings)
    assert backend == "tensorflow" or supported(settings.network)
    assert not any(name in layer.get(section, {}) for section, given_values in sections.items() for name in given_values)


def test_help_says_of_all_that_is_chosen_that_it_is() -> None:
    by_text = {(section, one.name) for section, one, _, detail in declared_settings() if detail.by_text or one.default is None}
    for layer in (recipe(PROSE * 1000).layer, recipe(NAMES, reading="line", training={"epochs": 2}).layer):
        assert {(section, name) for section, values in layer.items() for name in values} <= by_text


def test_three_reasons_name_the_network_what_is_dropped_and_how_it_learns() -> None:
    size, dropped, learning = recipe(PROSE * 1000).reasons
    assert "5 minutes on 2 cores (--minutes): lstm 1x" in size
    assert "%" in dropped
    assert "state is carried" in learning


def test_the_reasons_tell_what_a_user_has_chosen() -> None:
    _, dropped, _ = recipe(PROSE * 1000, network={"dropout": 0.17, "weight_drop": 0.07}).reasons
    assert "17% of the outputs (--dropout) and 7% of the recurrent weights (--weight-drop)" in dropped


def test_a_preset_is_the_same_on_any_number_of_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    plans = []
    for cores in (1, 60):
        monkeypatch.setattr("os.sched_getaffinity", lambda _, cores=cores: set(range(cores)))
        plans.append(planned(PROSE * 3000))
    assert plans[0].settings == plans[1].settings
    assert plans[0].reasons == plans[1].reasons
    assert "about 5 minutes on 2 cores (--preset, --minutes)" in plans[0].reasons[0]


@given(st.integers(50, 5000), st.integers(1, 4), st.sampled_from(["char", "byte"]), st.sampled_from([{}, {"epochs": 40}]))
def test_settings_change_little_with_the_size_of_a_text(size: int, percent: int, tokens: str, training: dict[str, int]) -> None:
    """Whatever is chosen, a text that is a little longer gets nearly the same, and none gets too few steps."""
    less, more = (
        planned((PROSE * 200)[:length], corpus={"tokens": tokens}, training=training)
        for length in (size, size + size * percent // 100)
    )
    for plan in (less, more):
        assert plan.settings.training.epochs * plan.training.num_steps >= 160
        assert plan.warnings == () or training
    for name in ("context_length", "batch_size", "learning_rate"):
        one, other = (getattr(plan.settings.training, name) for plan in (less, more))
        assert 0.5 <= other / one <= 2
    assert less.memory_bytes / 2 <= more.memory_bytes <= less.memory_bytes * 4


@pytest.mark.parametrize("kind", ["prose", "lines", "labelled", "mix", "word", "bpe"])
@pytest.mark.parametrize("training", [{}, {"epochs": 30}])
def test_each_kind_of_short_text_gets_steps_enough(kind: str, training: dict[str, int]) -> None:
    text, tokens = PROSE * 40, kind if kind in ("word", "bpe") else "char"
    mix = ["a.txt:2", "b.txt:1"] if kind == "mix" else []
    found = resolved(corpus={"tokens": tokens, "mix": mix}, training=training)
    made = corpus(text) if kind != "lines" else corpus(NAMES, reading="line")
    if kind == "labelled":
        made = Corpus("text", Documents.of([Document(text, "x"), Document(text.upper(), "y")]), "document", "0" * 64)
    if kind == "mix":
        made = Corpus(
            "text", Documents.of([Document(text), Document(text.upper(), part=1)]), "document", "0" * 64, proportions=(2.0, 1.0)
        )
    plan = plan_within(Budget(minutes=1, exact=False, began=0.0), found, made)
    steps = plan.settings.training.epochs * plan.training.num_steps
    assert steps >= 200
    assert plan.windows.batch_size <= 8


def test_a_short_list_is_read_less_often_than_a_long_one_and_often_enough() -> None:
    def passes(count: int) -> float:
        return recipe("\n".join(["Ada", "Barbara"] * (count // 2)), reading="line", minutes=60).passes

    assert 10 <= passes(200) < passes(1200) < passes(12_000) < passes(60_000) == 60
    for count in (14, 50, 200):
        plan = planned("\n".join(["Ada", "Barbara"] * (count // 2)), reading="line")
        assert plan.settings.training.epochs * plan.training.num_steps >= 150


def test_few_steps_are_warned_of_with_what_would_give_more() -> None:
    few = planned(PROSE * 20, training={"epochs": 3, "batch_size": 16})
    assert few.warnings == ("only 6 optimizer steps: the network learns little; give more --epochs or a smaller --batch-size",)
    single = planned(PROSE[:60], training={"epochs": 3})
    assert single.warnings == (
        f"only {3 * single.training.num_steps} optimizer steps: the network learns little; give more --epochs",
    )
    assert planned(PROSE * 20).warnings == ()


def test_reasons_name_the_optimizer_only_where_it_was_chosen() -> None:
    assert "muon (--optimizer) at 0.004, falling to 0 along a cosine (--learning-rate)" in recipe(PROSE * 3000).reasons[-1]
    for short_or_dense in (recipe(PROSE * 20), recipe(PROSE * 5000, network={"cell": "dense"})):
        assert "adamw (--optimizer) at" in short_or_dense.reasons[-1]
    small_batches = recipe(PROSE * 3000, training={"batch_size": 2})
    assert "adamw (--optimizer) at" in small_batches.reasons[-1]
    adamw = recipe(PROSE * 3000, training={"optimizer": "adamw"})
    assert "adamw (--optimizer) at 0.004, falling to 0" in adamw.reasons[-1]
    assert adamw.layer["training"]["schedule"] == "cosine"
    assert "optimizer" not in adamw.layer["training"]
    assert recipe(PROSE * 20, training={"optimizer": "adam"}).reasons[-1].endswith("; the optimizer is as given")


@pytest.mark.parametrize("count", [10, 100, 1000])
def test_numbers_are_taken_from_all_over_a_range(count: int) -> None:
    order = _spread(count)
    assert sorted(order.tolist()) == list(range(count))
    assert np.diff(np.sort(order[: count // 5])).max(initial=0) <= 2 * 5


def budget(
    preset: str | None = None, minutes: float | None = None, *, new: bool = True, configured: bool = False, found: Resolved
) -> Budget | None:
    return find_budget(preset, minutes, found, began=0.0, new=new, configured=configured)


def test_a_budget_is_taken_unless_everything_is_decided() -> None:
    assert budget(found=resolved()) == Budget(minutes=PRESETS["balanced"], exact=False, began=0.0, given=False)
    assert budget("fast", found=resolved()) == Budget(minutes=1, exact=False, began=0.0)
    assert budget(None, 2.5, found=resolved()) == Budget(minutes=2.5, exact=True, began=0.0)
    assert budget(found=resolved(), configured=True) is None
    assert budget("fast", found=resolved(), configured=True) is not None
    assert budget(found=resolved(), new=False) is None
    assert budget(found=resolved(training={"backend": "numpy"})) is None
    assert budget(found=resolved(training={"task": "classify"})) is None


@pytest.mark.parametrize(
    ("preset", "minutes", "new", "training", "message"),
    [
        ("fast", 3.0, True, {}, "--preset and --minutes cannot be used together"),
        (None, 0.0, True, {}, "--minutes is 0, expected a number above 0"),
        (None, float("nan"), True, {}, "--minutes is nan, expected a number above 0"),
        (None, 3.0, False, {}, "--minutes is for a new training and cannot be used with --resume"),
        (
            "best",
            None,
            True,
            {"task": "classify"},
            "--preset is for writing text, but training.task = classify predicts labels",
        ),
        (None, 3.0, True, {"epochs": 9}, "--minutes and training.epochs both set the length of training"),
    ],
)
def test_a_budget_that_cannot_be_is_refused(
    preset: str | None, minutes: float | None, new: bool, training: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        budget(preset, minutes, new=new, found=resolved(training=training))


@given(st.integers(1, 5000))
def test_a_plan_lasts_as_many_steps_as_it_is_told(steps: int) -> None:
    plan = PLAN.lasting(steps)
    training = plan.settings.training
    taken = training.epochs * plan.training.num_steps
    assert steps - training.epochs < taken <= steps or (taken <= steps and training.epoch_steps is None)
    assert plan.training.batch(0, 0).inputs.shape == (8, 64)
    assert training.epoch_steps is None or plan.training.num_steps == training.epoch_steps


@given(st.integers(1, 5000), st.integers(1, 30))
def test_a_plan_is_told_in_as_many_epochs_as_are_asked_for(steps: int, epochs: int) -> None:
    plan = PLAN.lasting(steps, epochs=epochs)
    training = plan.settings.training
    taken = training.epochs * plan.training.num_steps
    assert training.epochs == min(epochs, steps)
    assert steps - epochs < taken <= steps or (taken <= steps < 1.03 * taken + epochs and training.epoch_steps is None)


def test_short_epochs_are_validated_on_part_of_the_text_or_on_all_of_it() -> None:
    training = PLAN.settings.training
    part, whole = (
        make_plan(replace(PLAN.settings, training=replace(training, epoch_steps=8, validate_whole=all_of_it)), PLAN.corpus)
        for all_of_it in (False, True)
    )
    assert part.validation is not None
    assert part.validation.batches.num_targets == 2 * 8 * 64  # of an epoch's 8 steps, a quarter
    assert part.whole_validation is not None
    assert whole.validation is not None
    assert PLAN.validation is not None
    assert whole.validation.batches.num_targets == PLAN.validation.batches.num_targets > 2 * 8 * 64
    assert (part.validation.share < 1, whole.validation.share, whole.whole_validation) == (True, 1, None)
    assert part.whole_validation.batches.num_targets == whole.validation.batches.num_targets


def test_a_plan_within_a_budget_keeps_what_was_given() -> None:
    found = resolved(network={"hidden_size": 9}, training={"epochs": 3})
    settings: Settings = plan_within(Budget(minutes=1, exact=False, began=0.0), found, corpus(PROSE * 1000)).settings
    assert (settings.network.hidden_size, settings.training.epochs, settings.training.epoch_steps) == (9, 3, None)
    assert settings.training.warmup_epochs == pytest.approx(0.09)


@pytest.mark.parametrize(
    ("sections", "chosen"),
    [
        ({"network": {"hidden_size": 128}}, "bfloat16_products"),
        ({"network": {"hidden_size": 64}}, None),
        ({"network": {"hidden_size": 128, "cell": "dense"}}, None),
        ({"network": {"hidden_size": 128}, "training": {"precision": "float32"}}, None),
    ],
    ids=str,
)
def test_products_of_bfloat16_are_chosen_where_they_save_time(sections: dict[str, Any], chosen: str | None) -> None:
    given = Chosen.of(resolved(**sections))
    machine = assumed_cores(2, given.settings.network.cell, bfloat16=True)
    found = choose_recipe(corpus(PROSE * 100), given, minutes=5, machine=machine)
    assert found.layer["training"].get("precision") == chosen
    assert "precision" not in choose_recipe(corpus(PROSE * 100), given, minutes=5, machine=TWO_CORES).layer["training"]


@pytest.mark.parametrize("alone", [True, False])
def test_products_of_bfloat16_are_not_chosen_for_several_machines(alone: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chargen.training.budget.multiplies_bfloat16", lambda backend: True)
    found = resolved(network={"hidden_size": 128})
    plan = plan_within(Budget(minutes=1, exact=False, began=0.0), found, corpus(PROSE * 100), alone=alone)
    assert plan.settings.training.precision == ("bfloat16_products" if alone else "float32")


def test_products_of_bfloat16_are_for_a_cpu_that_multiplies_them_faster(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(processor, "DEVICES", tmp_path)
    for speed, faster in ((None, False), (0.6, False), (1.0, False), (2.0, True)):
        monkeypatch.setattr(processor, "bfloat16_speed", lambda speed=speed: speed)
        assert multiplies_bfloat16("tensorflow") == faster
    assert not multiplies_bfloat16("numpy")
    (tmp_path / "nvidia0").touch()
    assert not multiplies_bfloat16("tensorflow")


PLAN = plan_within(Budget(minutes=1, exact=False, began=0.0), resolved(), corpus(PROSE * 1000))


def test_only_jittered_streams_reset_the_state_and_seldom() -> None:
    jittered = TrainingConfig(stateful=True, jitter=True)
    share = np.mean([resets_state(jittered, 3, step, 1) for step in range(4000)])
    assert share == pytest.approx(0.15, abs=0.025)  # a standard error is 0.0056
    assert np.mean([resets_state(jittered, 3, step, 40) for step in range(400)]) > 0.8
    assert not any(resets_state(TrainingConfig(stateful=True), 3, step, 40) for step in range(400))

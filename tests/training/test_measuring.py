"""What training measures after an epoch is what `chargen evaluate` measures first, whatever the network and the text."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest

from chargen.corpus.corpus import Corpus
from chargen.corpus.document_rows import DocumentRows
from chargen.corpus.documents import Document, Documents
from chargen.corpus.holdout import split_documents
from chargen.corpus.vocabulary import CharacterVocabulary
from chargen.corpus.windows import tokenize
from chargen.insight.evaluation import EncodedText, protocols
from chargen.network.network import Network, weight_shapes
from chargen.settings.schema import CorpusConfig, NetworkConfig, Settings, TrainingConfig
from chargen.training.devices.backend import load_backend
from chargen.training.keras_trainer import text_trainer
from chargen.training.numpy_trainer import NumpyTrainer
from chargen.training.planning import validation
from chargen.training.planning.text_plan import TextPlan, make_plan
from chargen.training.planning.validation import part_of, plan_validation
from chargen.training.recording.results import Figures
from chargen.training.signals import RequestedSignal

WORDS = ["the cat sat on the mat", "a dog barks", "it is a truth universally acknowledged", "so it goes", "no", "the end"]
PROSE = ". ".join(WORDS * 30)

Corpora = Mapping[str, Corpus]
CORPORA: Corpora = {
    "prose": Corpus("text", Documents.of([Document(PROSE)]), "document", "0" * 64),
    "documents": Corpus("text", Documents.of(Document(f"{word}. {PROSE[:100]}") for word in WORDS * 2), "document", "0" * 64),
    "lines": Corpus("text", Documents.of(Document(f"{word} {word[:5]}") for word in WORDS * 8), "line", "0" * 64),
    "labelled": Corpus("text", Documents.of([Document(PROSE, "x"), Document(PROSE[::-1], "y")]), "document", "0" * 64),
    "labelled lines": Corpus(
        "text", Documents.of(Document(word, label) for word, label in product(WORDS * 4, ("x", "y"))), "line", "0" * 64
    ),
}
CELLS = [
    {"cell": "lstm", "num_layers": 2, "layer_norm": True, "dropout": 0.3},
    {"cell": "gru", "embedding_norm": "batch"},
    {"cell": "simplernn", "embedding_size": 0},
    {"cell": "dense", "dense_size": 4},
]
# Which text, and settings of the network, the training and the corpus.
FORMS: list[tuple[str, dict[str, Any], dict[str, Any], dict[str, Any]]] = [
    *[("prose", cell, {"context_length": 16}, {}) for cell in CELLS],
    *[("prose", cell, {"context_length": 3, "stride": 3}, {}) for cell in [one | {"targets": "last"} for one in CELLS]],
    ("prose", CELLS[0], {"context_length": 7, "stateful": True}, {}),
    ("prose", CELLS[1] | {"targets": "last"}, {"context_length": 7, "stateful": True}, {}),
    ("prose", CELLS[2], {"context_length": 9, "stride": 4}, {}),
    ("prose", CELLS[0], {"context_length": 8}, {"tokens": "word", "vocab_size": 9}),
    ("prose", CELLS[0], {"context_length": 8, "precision": "mixed_bfloat16"}, {"tokens": "byte"}),
    ("documents", CELLS[1], {"context_length": 8}, {}),
    ("lines", CELLS[0], {}, {}),
    ("lines", CELLS[2], {"context_length": 5}, {}),  # lines are longer than a window
    ("lines", CELLS[1] | {"targets": "last"}, {}, {}),
    ("labelled", CELLS[0], {"context_length": 9}, {}),
    ("labelled", CELLS[1] | {"targets": "last"}, {"context_length": 4}, {}),
    ("labelled", CELLS[1], {"context_length": 9, "stateful": True}, {}),
    ("labelled lines", CELLS[0], {}, {}),
    ("labelled lines", CELLS[2], {"context_length": 6}, {}),
]


def make(form: tuple[str, dict[str, Any], dict[str, Any], dict[str, Any]]) -> TextPlan:
    name, network, training, corpus = form
    chosen = Settings(
        corpus=CorpusConfig(validation_split=0.4, **corpus),
        network=replace(NetworkConfig(hidden_size=6, embedding_size=5), **network),
        training=replace(TrainingConfig(batch_size=4), **training),
    )
    return make_plan(chosen, CORPORA[name])


def random_weights(plan: TextPlan, scale: float = 0.8) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(3)
    shapes = weight_shapes(plan.settings.network, len(plan.vocabulary))
    weights = {name: rng.normal(0, scale, shape).astype(np.float32) for name, shape in shapes.items()}
    return {name: abs(one) if name.endswith("variance") else one for name, one in weights.items()}


def evaluated(plan: TextPlan, weights: Mapping[str, np.ndarray]) -> float:
    """Return the first figure of `chargen evaluate`, in bits a character, of the held-out text of a plan."""
    model = plan.text_model(Network(plan.settings.network, len(plan.vocabulary), weights), {})
    held_out = held_out_documents(plan)
    way = protocols(model, block_length=256)[0]
    return way.evaluate(model, EncodedText.of(held_out, plan.vocabulary), lambda count: None).bits_per_character


def held_out_documents(plan: TextPlan) -> Sequence[Document]:
    return split_documents(plan.corpus, plan.settings.corpus, seed=plan.settings.training.random_seed)[1]


def measured(plan: TextPlan, weights: Mapping[str, np.ndarray], backend: str = "tensorflow") -> Figures:
    if backend == "numpy":
        trainer: Any = NumpyTrainer(plan)
    else:
        load_backend(backend)
        trainer = text_trainer(plan)
    trainer.set_weights(weights)
    assert plan.validation is not None
    before = trainer.state()
    found: Figures = trainer.measure(plan.validation, RequestedSignal())
    for name, array in trainer.state().items():  # training goes on as if nothing had been measured
        np.testing.assert_array_equal(array, before[name])
    return found


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_training_measures_what_evaluate_measures(form: tuple[str, dict[str, Any], dict[str, Any], dict[str, Any]]) -> None:
    plan = make(form)
    weights = random_weights(plan)
    found = measured(plan, weights)["cross_entropy"]
    assert plan.conversion.bits_per_character(found) == pytest.approx(evaluated(plan, weights), abs=2e-4)


@pytest.mark.parametrize("form", [one for one in FORMS if not {"dropout", "embedding_norm"} & one[1].keys()], ids=str)
def test_the_numpy_trainer_measures_the_same(form: tuple[str, dict[str, Any], dict[str, Any], dict[str, Any]]) -> None:
    plan = make(form)
    weights = random_weights(plan)
    found = measured(plan, weights, backend="numpy")["cross_entropy"]
    assert plan.conversion.bits_per_character(found) == pytest.approx(evaluated(plan, weights), abs=1e-6)


def test_a_state_that_never_fades_is_carried_through_all_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network that counts: with it a text costs more and more, which no row can know that begins from the zero state."""
    monkeypatch.setattr(validation, "SHORTEST_ROW", 16)
    plan = make(("prose", {"cell": "simplernn", "activation": "relu", "num_layers": 1}, {"context_length": 8}, {}))
    weights = {name: np.zeros_like(one) for name, one in random_weights(plan).items()}
    weights["recurrent.0.bias"][0] = 1  # the first unit counts the tokens
    weights["recurrent.0.recurrent_kernel"][0, 0] = 1
    weights["output.kernel"][0, 0] = 0.1
    found = measured(plan, weights)
    assert plan.conversion.bits_per_character(found["cross_entropy"]) == pytest.approx(evaluated(plan, weights), abs=2e-4)
    assert found["drift"] > 1
    assert evaluated(plan, weights) > 10


def test_a_state_that_helps_has_not_drifted() -> None:
    plan = make(FORMS[0])
    assert measured(plan, random_weights(plan, 0.3))["drift"] < 0.01


def test_a_part_is_of_documents_spread_over_the_text() -> None:
    vocabulary = CharacterVocabulary("abcdefghij")
    stream = tokenize([Document(letter * 9) for letter in "abcdefghij"], vocabulary)
    assert part_of(stream, 100) is stream
    part = part_of(stream, 30)
    assert part.num_targets == 30
    read = vocabulary.decode(part.ids)
    assert sorted(set(read)) == list(read[::9])
    assert max(read) > "f"
    assert min(read) < "d"
    short = part_of(tokenize([Document("abcdefghij" * 9)], vocabulary), 15)
    assert (short.num_targets, vocabulary.decode(short.ids)) == (15, "abcdefghijabcde")


@pytest.mark.parametrize("last", [False, True])
def test_short_epochs_are_followed_by_a_part_of_the_text(last: bool) -> None:
    plan = make(("documents", {"targets": "last" if last else "all"}, {"context_length": 5, "epoch_steps": 4}, {}))
    assert plan.validation is not None
    assert plan.whole_validation is not None
    assert plan.validation.batches.num_targets == (4 if last else 20)
    assert plan.validation.share == pytest.approx(
        plan.validation.batches.num_targets / plan.whole_validation.batches.num_targets
    )
    settings = replace(plan.settings, training=replace(plan.settings.training, validate_whole=True))
    assert plan.parts.validation is not None
    assert plan_validation(plan.parts.validation, plan.windows, settings, by_line=False).share == 1


def test_rows_hold_every_token_of_their_documents_once() -> None:
    vocabulary = CharacterVocabulary("abcdefghij")
    texts = ["abc", "defghij", "b", "jihgfedcba" * 2, "ca"]
    stream = tokenize([Document(text) for text in texts], vocabulary)
    rows = DocumentRows(stream, context_length=4, batch_size=2)
    found: dict[int, list[str]] = {}
    group = -1
    for step in range(rows.num_steps):
        group += step in rows.begins
        batch = rows.batch(0, step)
        for row in range(2):
            kept = batch.targets[row][batch.sample_weights[row] > 0]
            found.setdefault(2 * group + row, []).extend("$" if one == 0 else vocabulary.decode([one]) for one in kept.tolist())
    assert sorted("".join(one) for one in found.values()) == sorted(["", *[f"{text}$" for text in texts]])
    assert rows.num_targets == sum(len(text) + 1 for text in texts)

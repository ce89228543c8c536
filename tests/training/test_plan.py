import doctest
from dataclasses import replace
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargen.corpus.corpus import Corpus, load_corpus
from chargen.corpus.documents import Document, Documents
from chargen.corpus.vocabulary import BOUNDARY
from chargen.corpus.windows import ContiguousStreams
from chargen.errors import ConfigError, CorpusError
from chargen.settings.layers import resolve
from chargen.settings.schema import Settings
from chargen.training.planning import windows
from chargen.training.planning.memory import estimate_memory
from chargen.training.planning.text_plan import TextPlan, make_plan
from chargen.training.planning.windows import WindowSizes

TEXT = "one line of it\nand another line\n" * 20


def settings(**sections: dict[str, Any]) -> Settings:
    return resolve(("test", sections)).settings


def corpus(*documents: str, reading: str = "document") -> Corpus:
    return Corpus("text", Documents.of(map(Document, documents)), reading, "0" * 64)


def plan(text: str = TEXT, **sections: dict[str, Any]) -> TextPlan:
    return make_plan(settings(**sections), corpus(text))


@pytest.mark.parametrize(
    ("text", "reading", "targets", "stateful", "expected"),
    [
        ("abcde\nab\nab", "line", "all", False, WindowSizes(6, 6, 1)),
        ("abcde\nab\nab", "line", "last", False, WindowSizes(6, 1, 8)),
        ("abcde\nab\n" * 999 + "ab", "line", "all", False, WindowSizes(6, 6, 32)),
        ("abcde\nab\n" * 999 + "ab", "line", "last", False, WindowSizes(6, 1, 128)),
        (TEXT * 9, "document", "all", False, WindowSizes(32, 32, 2)),
        (TEXT * 50, "document", "all", False, WindowSizes(64, 64, 8)),
        (TEXT * 999, "document", "all", False, WindowSizes(128, 128, 16)),
        (TEXT * 9, "document", "last", False, WindowSizes(40, 3, 32)),
        (TEXT * 9, "document", "last", True, WindowSizes(40, 40, 2)),
        (TEXT * 99, "document", "last", True, WindowSizes(40, 40, 16)),
    ],
)
def test_open_window_sizes_are_chosen_from_the_text(
    text: str, reading: str, targets: str, stateful: bool, expected: WindowSizes
) -> None:
    texts = text.split("\n") if reading == "line" else [text]
    chosen = settings(corpus={"validation_split": 0.0}, network={"targets": targets}, training={"stateful": stateful})
    assert make_plan(chosen, corpus(*texts, reading=reading)).windows == expected


def test_given_window_sizes_are_kept_and_recorded() -> None:
    made = plan(training={"context_length": 9, "stride": 4, "batch_size": 5})
    assert made.windows == WindowSizes(9, 4, 5)
    assert (made.settings.training.context_length, made.settings.training.stride) == (9, 4)
    assert made.training.batch(0, 0).inputs.shape == (5, 9)


def test_a_long_line_is_cut_into_windows() -> None:
    assert make_plan(settings(), corpus("a" * 5000, "b", reading="line")).windows.context_length == 200


def test_a_window_that_nobody_asked_for_fits_the_text() -> None:
    made = plan("eleven char")
    assert made.windows.context_length == 9
    assert made.training.num_targets == 10


def corpus_of(kind: str, length: int) -> Corpus:
    """Return a corpus of one kind of text."""
    text = ("ab " * length)[:length]
    if kind == "lines":
        return corpus(*text.split(), reading="line")
    if kind == "labelled":
        return Corpus("text", Documents.of([Document(text, "x"), Document(text, "y")]), "document", "0" * 64)
    if kind == "mix":
        return Corpus(
            "text", Documents.of([Document(text), Document(text, part=1)]), "document", "0" * 64, proportions=(2.0, 1.0)
        )
    return corpus(text)


def check_learns(plan: TextPlan) -> None:
    """Hold that every epoch and every validation is a mean over something."""
    for batches in filter(None, (plan.training, plan.validation and plan.validation.batches)):
        assert all(batches.batches(epoch, 0, batches.num_steps).sample_weights.any() for epoch in (0, 1))
        assert batches.num_targets > 0


@hypothesis.settings(max_examples=200)
@given(
    text=st.integers(2, 300),
    kind=st.sampled_from(["prose", "lines", "labelled", "mix"]),
    targets=st.sampled_from(["all", "last"]),
    stateful=st.booleans(),
    sizes=st.fixed_dictionaries(
        {},
        optional={"context_length": st.integers(1, 40), "batch_size": st.integers(1, 40), "epoch_steps": st.integers(4, 9)},
    ),
    split=st.sampled_from([0.0, 0.1, 0.5]),
)
def test_a_plan_has_something_to_predict_or_is_refused(
    text: int, kind: str, targets: str, stateful: bool, sizes: dict[str, int], split: float
) -> None:
    chosen = settings(
        corpus={"validation_split": split},
        network={"targets": targets},
        training={"stateful": stateful and kind in ("prose", "labelled")},
    )
    chosen = replace(chosen, training=replace(chosen.training, **sizes))
    try:
        made = make_plan(chosen, corpus_of(kind, text))
    except (ConfigError, CorpusError):
        made = None
    if made:
        check_learns(made)
    else:
        assert sizes or text < 10  # sizes that nobody asked for fit all but the shortest texts


def test_streams_shorter_than_a_window_are_refused_with_sizes_that_would_do() -> None:
    given = {"stateful": True, "context_length": 12, "batch_size": 9}

    def made(**training: Any) -> TextPlan:
        return plan("abc " * 20, corpus={"validation_split": 0.0}, network={"targets": "last"}, training=given | training)

    with pytest.raises(ConfigError, match=r"the training part has 81 tokens: 9 streams of 9 tokens") as refused:
        made()
    assert refused.value.hint is not None
    for hint in ("--context-length 9", "--batch-size 7"):
        assert hint in refused.value.hint
    for fitting in ({"context_length": 9}, {"batch_size": 7}):
        check_learns(made(**fitting))
    for too_much in ({"context_length": 10}, {"batch_size": 8}):
        with pytest.raises(ConfigError, match="each needs"):
            made(**too_much)


def test_a_text_shorter_than_a_window_is_refused_with_the_length_that_would_do() -> None:
    with pytest.raises(CorpusError, match=r"90 tokens in a row to train on, one window needs 201") as refused:
        plan("x" * 100, training={"context_length": 200})
    assert refused.value.hint is not None
    assert "--context-length 89" in refused.value.hint
    assert plan("x" * 100, training={"context_length": 89}).training.num_targets == 90


def test_lines_shorter_than_a_window_are_filled_up() -> None:
    made = make_plan(settings(training={"context_length": 30}), corpus("ab", "abc", "b", reading="line"))
    assert (
        sum(made.training.batch(0, step).sample_weights.sum() for step in range(made.training.num_steps))
        == made.training.num_targets
    )


def test_memory_grows_with_each_size_and_is_refused_before_it_is_taken() -> None:
    def memory(**network: int) -> int:
        chosen = settings(network=network)
        return estimate_memory(
            chosen.network, WindowSizes(10, 10, 10), vocab_size=9, num_parameters=1000, corpus=corpus("x" * 100)
        )

    assert memory(hidden_size=64) < memory(hidden_size=65) < memory(hidden_size=65, num_layers=2)
    with pytest.raises(ConfigError, match=r"need about [\d,.]+ GB of memory, this machine has"):
        plan(network={"hidden_size": 65536, "num_layers": 64})


def test_the_estimate_holds_the_one_hot_batch_but_never_all_windows() -> None:
    one_hot, embedded = (
        estimate_memory(
            settings(network={"embedding_size": size}).network,
            WindowSizes(100, 1, 50),
            vocab_size=20_000,
            num_parameters=0,
            corpus=corpus("x" * 1_000_000),
        )
        for size in (0, 8)
    )
    assert one_hot - embedded >= 100 * 50 * (20_000 - 8) * 4
    assert one_hot < 1_000_000 * 100 * 20_000 * 4 / 100


def test_the_primer_of_a_document_ends_a_line_and_fills_the_context() -> None:
    made = plan(training={"context_length": 20})
    primer = made.vocabulary.decode(made.primer)
    assert len(primer) == 20
    assert primer.endswith("\n")
    assert primer in made.documents[0].text


def test_the_primer_of_a_text_without_lines_is_its_end() -> None:
    made = plan("abcdefghij" * 30, training={"context_length": 20}, corpus={"validation_split": 0.0})
    assert made.vocabulary.decode(made.primer) == "abcdefghij" * 2


@pytest.mark.parametrize(("targets", "length"), [("all", 1), ("last", 5)])
def test_the_primer_of_lines_is_what_stands_before_a_line_in_training(targets: str, length: int) -> None:
    made = make_plan(settings(network={"targets": targets}), corpus("abcde", "ba", reading="line"))
    assert made.primer == (BOUNDARY,) * length


def test_only_texts_of_several_documents_end_by_themselves() -> None:
    assert not plan().ends
    assert make_plan(settings(), corpus(TEXT, TEXT)).ends


def test_stateful_training_reads_contiguous_streams() -> None:
    made = plan(training={"stateful": True, "batch_size": 3, "context_length": 11})
    assert isinstance(made.training, ContiguousStreams)
    assert made.validation is not None
    assert isinstance(made.validation.batches, ContiguousStreams)
    assert made.validation.chained
    assert made.settings.training.stride == 11


def test_without_a_validation_split_there_is_no_validation() -> None:
    made = plan(corpus={"validation_split": 0.0})
    assert made.validation is None
    assert made.training.num_targets >= len(TEXT)


@pytest.mark.parametrize(("validation", "expected"), [("spread", {"a"}), ("tail", {"b"})])
def test_validation_is_what_is_held_out(validation: str, expected: set[str]) -> None:
    made = plan("a" * 900 + "b" * 100, training={"context_length": 8}, corpus={"validation": validation})
    assert made.validation is not None
    held_out = made.validation.batches.batch(0, 0)
    assert set(made.vocabulary.decode(held_out.targets[held_out.sample_weights > 0])) == expected


@pytest.mark.parametrize("options", [{}, {"stateful": True}, {"stateful": True, "jitter": True}])
def test_of_one_text_in_pieces_only_the_end_is_predicted(options: dict[str, Any]) -> None:
    """A network must not learn that texts end where one was cut to hold out a part of it."""
    made = plan("the quick brown fox. " * 500, training={"context_length": 8, "batch_size": 4} | options)
    assert made.validation is not None
    assert made.ends is False
    for batches, ends in ((made.training, 1), (made.validation.batches, 0)):
        found = [batches.batch(0, step) for step in range(batches.num_steps)]
        assert sum(int(((one.targets == BOUNDARY) & (one.sample_weights > 0)).sum()) for one in found) == ends
        assert sum(one.sample_weights.sum() for one in found) == batches.num_targets
    assert made.training.num_targets + made.validation.batches.num_targets == made.corpus.num_characters + 1
    assert made.conversion.characters_per_token == 1


def test_tokens_of_several_characters_are_counted_in_every_piece() -> None:
    made = plan("the quick brown fox. " * 500, corpus={"tokens": "word"})
    assert made.validation is not None
    characters = sum(len(one.text) for one in made.corpus.documents) - sum(len(one.text) for one in made.documents)
    assert made.conversion.characters_per_token == pytest.approx(characters / made.validation.batches.num_targets)


def test_many_distinct_characters_need_no_large_array(tmp_path: Path) -> None:
    path = tmp_path / "wide.txt"
    path.write_text("".join(map(chr, range(0x4E00, 0x4E00 + 20_000))) * 2, encoding="utf-8")
    chosen = settings(corpus={"files": [str(path)]}, network={"hidden_size": 3})
    made = make_plan(chosen, load_corpus(chosen.corpus))
    assert len(made.vocabulary) == 20_001
    assert made.training.batch(0, 0).inputs.dtype == np.int32


def test_the_description_says_what_is_trained_on_what() -> None:
    said = "\n".join(plan(network={"cell": "gru", "num_layers": 2, "embedding_size": 0}).describe())
    for part in ("1 document,", f"{len(TEXT):,} characters", "gru 2x128", "one-hot", "1 window of 32", "MB"):
        assert part in said


@pytest.mark.parametrize(
    ("rest", "context_length"),
    [([], 7), (["a heading above the names, far longer than each of them"], 7), (["no heading"], 11)],
)
def test_a_heading_does_not_make_all_windows_long(rest: list[str], context_length: int) -> None:
    names = [f"name{number:02}" for number in range(40)]
    assert make_plan(settings(), corpus(*rest, *names, reading="line")).windows.context_length == context_length


def test_the_examples_of_the_windows_work() -> None:
    assert doctest.testmod(windows).failed == 0 < doctest.testmod(windows).attempted

from collections import Counter
from collections.abc import Collection, Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargen.corpus.document_rows import DocumentRows
from chargen.corpus.documents import Document
from chargen.corpus.vocabulary import BOUNDARY, CharacterVocabulary
from chargen.corpus.windows import (
    Batch,
    BatchPlan,
    ContiguousStreams,
    FixedLengthEpochs,
    MixedWindows,
    SlidingWindows,
    TokenStream,
    proportional_pattern,
    shuffled,
    tokenize,
)

documents_of = st.lists(st.integers(1, 23), min_size=1, max_size=6)
sizes = st.integers(1, 9)


def stream_of(lengths: list[int], *, cut: Collection[int] = ()) -> TokenStream:
    """Return documents whose characters all differ, so that a window that mixes two is detected; some are cut off."""
    first = np.cumsum([33, *lengths])
    texts = ["".join(map(chr, range(start, start + length))) for start, length in zip(first, lengths, strict=False)]
    documents = [Document(text, ends=number not in cut) for number, text in enumerate(texts)]
    return tokenize(documents, CharacterVocabulary.of(texts))


def batches(plan: BatchPlan, epoch: int = 0) -> Iterator[Batch]:
    return (plan.batch(epoch, step) for step in range(plan.num_steps))


def windows(plan: BatchPlan, epoch: int = 0) -> Iterator[tuple[list[int], list[int], list[float]]]:
    """Yield inputs, targets and weights of every window with a weight."""
    for batch in batches(plan, epoch):
        for inputs, targets, weights in zip(batch.inputs, batch.targets, batch.sample_weights, strict=True):
            if weights.any():
                yield inputs.tolist(), np.atleast_1d(targets).tolist(), np.atleast_1d(weights).tolist()


def pieces(stream: TokenStream) -> list[list[int]]:
    """Return every document's ids, including both boundaries."""
    return [stream.ids[start : end + 1].tolist() for start, end in zip(stream.starts, stream.starts[1:], strict=False)]


def reference_all(stream: TokenStream, T: int, stride: int) -> Counter[tuple[int, ...]]:
    """Return all windows as tuples of inputs and weighted targets, document by document."""
    found: Counter[tuple[int, ...]] = Counter()
    for ids in pieces(stream):
        start = 0
        while start < len(ids) - 1:
            found[tuple(ids[start : start + T + 1])] += 1
            if stride <= T and start + T >= len(ids) - 1:
                break
            start += stride
    return found


def reference_last(stream: TokenStream, T: int, stride: int) -> Counter[tuple[int, ...]]:
    found: Counter[tuple[int, ...]] = Counter()
    for ids in pieces(stream):
        for target in range(1, len(ids), stride):
            context = ids[max(0, target - T) : target]
            found[tuple([0] * (T - len(context)) + context + [ids[target]])] += 1
    return found


def test_boundaries_stand_between_documents() -> None:
    vocabulary = CharacterVocabulary("abc")
    stream = tokenize([Document("ab"), Document("c")], vocabulary)
    assert stream.ids.tolist() == [0, 1, 2, 0, 3, 0]
    assert stream.starts.tolist() == [0, 3, 5]
    assert pieces(stream) == [[0, 1, 2, 0], [0, 3, 0]]
    assert stream.ids.dtype == np.uint8


@given(documents_of, sizes, sizes, sizes, st.integers(0, 3))
def test_windows_with_a_target_at_every_position(lengths: list[int], T: int, stride: int, B: int, epoch: int) -> None:
    stream = stream_of(lengths)
    plan = SlidingWindows(stream, context_length=T, stride=stride, batch_size=B, last=False, seed=1)
    found: Counter[tuple[int, ...]] = Counter()
    for inputs, targets, weights in windows(plan, epoch):
        weighing = int(sum(weights))
        assert weights == [1.0] * weighing + [0.0] * (T - weighing)
        assert inputs[1:weighing] == targets[: weighing - 1]
        found[(*inputs[:weighing], targets[weighing - 1])] += 1
    assert found == reference_all(stream, T, stride)
    assert plan.num_targets == sum(batch.sample_weights.sum() for batch in batches(plan, epoch))


@given(documents_of, sizes, sizes, sizes, st.integers(0, 3))
def test_windows_with_one_target(lengths: list[int], T: int, stride: int, B: int, epoch: int) -> None:
    stream = stream_of(lengths)
    plan = SlidingWindows(stream, context_length=T, stride=stride, batch_size=B, last=True, seed=1)
    found = Counter((*inputs, *targets) for inputs, targets, _ in windows(plan, epoch))
    assert found == reference_last(stream, T, stride)
    assert plan.num_targets == sum(batch.sample_weights.sum() for batch in batches(plan, epoch))


@given(documents_of, sizes, sizes)
def test_side_by_side_windows_predict_every_token_once(lengths: list[int], T: int, B: int) -> None:
    stream = stream_of(lengths)
    plan = SlidingWindows(stream, context_length=T, stride=T, batch_size=B, last=False, seed=1)
    predicted = Counter(
        target for _, targets, weights in windows(plan) for target, weight in zip(targets, weights, strict=True) if weight
    )
    assert predicted == Counter(stream.ids[1:].tolist())


cut_documents = st.tuples(st.lists(sizes, min_size=1, max_size=5), st.sets(st.integers(0, 4)))


def plans(stream: TokenStream, T: int, B: int, *, last: bool) -> Iterator[BatchPlan]:
    """Yield every kind of plan that predicts each token once, or with `last` the last of each window."""
    yield SlidingWindows(stream, context_length=T, stride=1 if last else T, batch_size=B, last=last, seed=1)
    for seed in (None, 5):
        yield ContiguousStreams(stream, context_length=T, batch_size=B, last=last, jitter_seed=seed)


@given(cut_documents, sizes, sizes, st.integers(0, 3))
def test_all_is_predicted_but_the_boundary_after_a_document_that_was_cut_off(
    documents: tuple[list[int], set[int]], T: int, B: int, epoch: int
) -> None:
    lengths, cut = documents
    stream = stream_of(lengths, cut=cut)
    ends = len(set(range(len(lengths))) - cut)
    assert stream.num_targets == sum(lengths) + ends == stream.lengths.sum()
    expected = Counter({token: 1 for token in stream.ids.tolist() if token != BOUNDARY} | ({BOUNDARY: ends} if ends else {}))
    for plan in plans(stream, T, B, last=False):
        predicted = Counter(
            target
            for _, targets, weights in windows(plan, epoch)
            for target, weight in zip(targets, weights, strict=True)
            if weight
        )
        assert predicted == expected
        assert plan.num_targets == stream.num_targets == sum(batch.sample_weights.sum() for batch in batches(plan, epoch))


@given(cut_documents, sizes, sizes)
def test_no_window_ends_with_the_boundary_after_a_document_that_was_cut_off(
    documents: tuple[list[int], set[int]], T: int, B: int
) -> None:
    lengths, cut = documents
    stream, whole = stream_of(lengths, cut=cut), stream_of(lengths)
    ends = len(set(range(len(lengths))) - cut)
    for plan in plans(stream, T, B, last=True):
        targets = [target for _, (target,), _ in windows(plan)]
        assert targets.count(BOUNDARY) <= ends
    sliding, streams, _ = plans(stream, T, B, last=True)
    assert sliding.num_targets == len(list(windows(sliding))) == stream.num_targets
    assert streams.num_targets == len(list(windows(streams)))
    _, uncut, _ = plans(whole, T, B, last=True)
    found, expected = ([target for _, (target,), _ in windows(plan) if target != BOUNDARY] for plan in (streams, uncut))
    assert found == expected


@pytest.mark.parametrize("last", [False, True])
def test_a_batch_does_not_depend_on_those_before_it(last: bool) -> None:
    def plan() -> SlidingWindows:
        return SlidingWindows(stream_of([17, 30]), context_length=4, stride=3, batch_size=5, last=last, seed=9)

    used = plan()
    assert len([*batches(used, epoch=6)]) == used.num_steps
    for made, expected in zip(used.batch(7, 2), plan().batch(7, 2), strict=True):
        np.testing.assert_array_equal(made, expected)


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("stateful", [False, True])
def test_batches_made_together_are_those_made_one_by_one(stateful: bool, last: bool) -> None:
    stream, sizes = stream_of([17, 30]), {"context_length": 4, "batch_size": 3}
    plan = (
        ContiguousStreams(stream, **sizes, last=last)
        if stateful
        else SlidingWindows(stream, **sizes, stride=3, last=last, seed=9)
    )
    first, count = 1, plan.num_steps - 1
    together = plan.batches(5, first, count)
    assert count > 1
    for arrays, single in zip(together, zip(*(plan.batch(5, first + k) for k in range(count)), strict=True), strict=True):
        np.testing.assert_array_equal(arrays, np.stack(single))
        assert arrays.dtype == single[0].dtype


def test_epochs_hold_the_same_windows_in_another_order() -> None:
    plan = SlidingWindows(stream_of([60]), context_length=3, stride=2, batch_size=4, last=False, seed=9)
    first, second = (list(windows(plan, epoch)) for epoch in (0, 1))
    assert first != second
    assert sorted(first) == sorted(second)


def test_batches_have_one_shape_and_type() -> None:
    for last, shape in ((False, (5, 4)), (True, (5,))):
        plan = SlidingWindows(stream_of([17, 30]), context_length=4, stride=3, batch_size=5, last=last, seed=9)
        for batch in batches(plan):
            assert batch.inputs.shape == (5, 4)
            assert batch.targets.shape == batch.sample_weights.shape == shape
            assert (batch.inputs.dtype, batch.targets.dtype, batch.sample_weights.dtype) == (np.int32, np.int32, np.float32)


@given(documents_of, sizes, sizes)
def test_streams_are_contiguous_and_predict_every_token_once(lengths: list[int], T: int, B: int) -> None:
    stream = stream_of(lengths)
    plan = ContiguousStreams(stream, context_length=T, batch_size=B, last=False)
    rows: list[list[int]] = [[] for _ in range(B)]
    for batch in batches(plan):
        for row, inputs, targets, weights in zip(rows, batch.inputs, batch.targets, batch.sample_weights, strict=True):
            weighing = int(weights.sum())
            if weighing:
                assert not row or row[-1] == inputs[0]
                assert inputs[1:weighing].tolist() == targets[: weighing - 1].tolist()
                row.extend(targets[:weighing].tolist())
    assert [token for row in rows for token in row] == stream.ids[1:].tolist()
    assert plan.num_targets == sum(batch.sample_weights.sum() for batch in batches(plan)) == stream.num_targets


@given(documents_of, sizes, sizes)
def test_streams_with_one_target_a_window(lengths: list[int], T: int, B: int) -> None:
    stream = stream_of(lengths)
    every = ContiguousStreams(stream, context_length=T, batch_size=B, last=False)
    plan = ContiguousStreams(stream, context_length=T, batch_size=B, last=True)
    assert every.num_steps - plan.num_steps in (0, 1)  # an incomplete window is not read
    for one, other in zip(batches(plan), batches(every), strict=False):
        np.testing.assert_array_equal(one.targets, other.targets[:, -1])
        np.testing.assert_array_equal(one.sample_weights, other.sample_weights[:, -1])
    assert plan.num_targets == sum(batch.sample_weights[:, -1].sum() for batch in batches(every))


def test_streams_are_the_same_in_every_epoch() -> None:
    plan = ContiguousStreams(stream_of([40]), context_length=3, batch_size=2, last=False)
    for one, other in zip(plan.batch(0, 1), plan.batch(5, 1), strict=True):
        np.testing.assert_array_equal(one, other)


@given(st.integers(2, 60), sizes, sizes, st.integers(0, 5))
def test_jittered_streams_are_a_turned_ring(length: int, T: int, B: int, epoch: int) -> None:
    stream = stream_of([length])
    plan = ContiguousStreams(stream, context_length=T, batch_size=B, last=False, jitter_seed=7)
    made = [plan.batch(epoch, step) for step in range(plan.num_steps)]
    read = [
        int(token)
        for row in range(B)
        for batch in made
        for token, weighs in zip(batch.targets[row], batch.sample_weights[row], strict=True)
        if weighs
    ]
    text = stream.ids[1:].tolist()
    assert any(text[turn:] + text[:turn] == read for turn in range(len(text)))
    for batch in made:
        np.testing.assert_array_equal(batch.inputs[:, 1:], batch.targets[:, :-1])


def test_jittered_streams_differ_from_epoch_to_epoch() -> None:
    plan = ContiguousStreams(stream_of([400]), context_length=30, batch_size=2, last=False, jitter_seed=7)
    first_rows = {tuple(plan.batch(epoch, 0).inputs[0].tolist()) for epoch in range(5)}
    assert len(first_rows) == 5


def labelled(lengths: list[int]) -> TokenStream:
    """Return documents that alternate between two labels."""
    vocabulary = CharacterVocabulary("a", labels=("x", "y"))
    return tokenize([Document("a" * length, "xy"[place % 2]) for place, length in enumerate(lengths)], vocabulary)


@given(documents_of, sizes, sizes, sizes, st.booleans(), st.booleans(), st.integers(0, 3))
def test_every_batch_has_a_target_and_an_epoch_as_many_as_are_counted(
    lengths: list[int], T: int, stride: int, B: int, last: bool, with_labels: bool, epoch: int
) -> None:
    stream, sizes = labelled(lengths) if with_labels else stream_of(lengths), {"context_length": T, "batch_size": B}
    made: list[BatchPlan] = [SlidingWindows(stream, **sizes, stride=stride, last=last, seed=1)]
    made += [ContiguousStreams(stream, **sizes, last=last, jitter_seed=seed) for seed in (None, 1)]
    for plan in made:
        weights = [batch.sample_weights.sum() for batch in batches(plan, epoch)]
        assert all(weights)
        assert sum(weights) == plan.num_targets
        assert (plan.num_targets == 0) == (plan.num_steps == 0)


@given(documents_of, documents_of, sizes, sizes, sizes, st.booleans(), st.booleans(), st.integers(1, 5))
def test_every_batch_of_a_mix_and_of_a_portion_has_a_target(
    first: list[int], second: list[int], T: int, stride: int, B: int, last: bool, with_labels: bool, weight: int
) -> None:
    sizes = {"context_length": T, "stride": stride, "batch_size": B}
    streams = map(labelled if with_labels else stream_of, (first, second))
    mix = MixedWindows([SlidingWindows(stream, **sizes, last=last, seed=1) for stream in streams], [weight, 1])
    portions = FixedLengthEpochs(mix, weight)
    for plan in (mix, portions):
        assert all(batch.sample_weights.any() for epoch in range(3) for batch in batches(plan, epoch))
        assert plan.num_targets >= plan.num_steps > 0


def test_the_targets_of_a_mix_are_counted_in_the_mean_of_all_epochs() -> None:
    parts = [
        SlidingWindows(stream_of(lengths), context_length=5, stride=5, batch_size=4, last=False, seed=1)
        for lengths in ([11, 1, 30], [2, 2, 2])
    ]
    plan = MixedWindows(parts, [2, 1])
    counted = [sum(batch.sample_weights.sum() for batch in batches(plan, epoch)) for epoch in range(200)]
    assert len(set(counted)) > 1
    assert np.mean(counted) == pytest.approx(plan.num_targets, abs=1)


@given(st.integers(1, 9), st.integers(0, 4), st.booleans())
def test_portions_follow_each_other_through_the_epochs_of_the_text(steps: int, epoch: int, stateful: bool) -> None:
    stream, sizes = stream_of([30, 11]), {"context_length": 3, "batch_size": 2}
    whole: BatchPlan = (
        ContiguousStreams(stream, **sizes, last=False, jitter_seed=1)
        if stateful
        else SlidingWindows(stream, **sizes, stride=3, last=False, seed=1)
    )
    plan = FixedLengthEpochs(whole, steps)
    together = plan.batches(epoch, 0, plan.num_steps)
    for number in range(steps):
        place = divmod(epoch * steps + number, whole.num_steps)
        for arrays, single in zip(together, whole.batch(*place), strict=True):
            np.testing.assert_array_equal(arrays[number], single)
    assert plan.num_targets == pytest.approx(whole.num_targets * steps / whole.num_steps, abs=1)


@given(st.integers(1, 3000), st.integers(0, 9), st.integers(0, 9))
def test_shuffling_is_a_permutation(count: int, seed: int, epoch: int) -> None:
    places = shuffled(np.arange(count), count, key=(seed, epoch))
    assert sorted(places.tolist()) == list(range(count))


def test_a_place_is_shuffled_alike_alone_and_among_others() -> None:
    together = shuffled(np.arange(1000), 1000, key=(1, 2))
    np.testing.assert_array_equal(shuffled(np.array([7, 500, 999]), 1000, key=(1, 2)), together[[7, 500, 999]])


def test_shuffling_depends_on_seed_and_epoch_and_leaves_little_in_place() -> None:
    orders = [shuffled(np.arange(1000), 1000, key=key).tolist() for key in ((1, 1), (1, 2), (2, 1))]
    assert len(set(map(tuple, orders))) == 3
    for order in orders:
        assert sum(place == index for index, place in enumerate(order)) < 10
        neighbours = np.abs(np.diff(order)) == 1
        assert neighbours.sum() < 20


def labelled_stream() -> TokenStream:
    """Return a stream in which ids 1 to 6 are letters, 7 and 8 labels."""
    vocabulary = CharacterVocabulary("abcdef", labels=("x", "y"))
    return tokenize([Document("abc", "x"), Document("def", "y"), Document("a", "x")], vocabulary)


def test_a_label_stands_where_a_document_begins() -> None:
    stream = labelled_stream()
    assert stream.ids.tolist() == [7, 1, 2, 3, 8, 4, 5, 6, 7, 1, 0]
    assert stream.labelled
    assert not stream_of([3]).labelled


def test_every_window_begins_with_its_label_and_labels_are_never_predicted() -> None:
    plan = SlidingWindows(labelled_stream(), context_length=3, stride=2, batch_size=4, last=False, seed=1)
    found = {(tuple(inputs), tuple(targets), tuple(weights)) for inputs, targets, weights in windows(plan)}
    assert ((7, 1, 2), (1, 2, 3), (1, 1, 1)) in found
    assert ((7, 3, 8), (3, 0, 0), (0, 1, 0)) in found  # the window at "b": the token after the label is not predicted
    assert ((8, 4, 5), (4, 5, 6), (1, 1, 1)) in found
    assert len(found) == 5
    assert plan.num_targets == sum(batch.sample_weights.sum() for batch in batches(plan)) == 10


def test_windows_with_one_target_begin_with_the_label_too() -> None:
    plan = SlidingWindows(labelled_stream(), context_length=2, stride=1, batch_size=4, last=True, seed=1)
    found = {(*inputs, *targets) for inputs, targets, _ in windows(plan)}
    assert found == {(7, 7, 1), (7, 1, 2), (7, 2, 3), (7, 3, 0), (8, 8, 4), (8, 4, 5), (8, 5, 6), (8, 6, 0), (7, 1, 0)}


def test_streams_read_labels_and_predict_ends() -> None:
    plan = ContiguousStreams(labelled_stream(), context_length=10, batch_size=1, last=False)
    (row,) = windows(plan)
    assert row[:2] == ([7, 1, 2, 3, 8, 4, 5, 6, 7, 1], [1, 2, 3, 0, 4, 5, 6, 0, 1, 0])


def test_a_mix_draws_in_proportion_and_goes_through_all_windows_of_each_part() -> None:
    vocabulary = CharacterVocabulary("ab")
    parts = [
        SlidingWindows(
            tokenize([Document(letter * 40)], vocabulary), context_length=4, stride=4, batch_size=5, last=False, seed=1
        )
        for letter in "ab"
    ]
    plan = MixedWindows(parts, [3, 1])
    rows = [inputs for inputs, _, _ in windows(plan)]
    assert len(rows) == plan.num_windows == parts[0].num_windows + parts[1].num_windows == 22
    assert sum(1 in row for row in rows) == 17
    assert plan.num_targets == pytest.approx(sum(batch.sample_weights.sum() for batch in batches(plan)), abs=4)
    again = plan.batches(0, 1, 2)
    for name in Batch._fields:
        stacked = [getattr(plan.batch(0, step), name) for step in (1, 2)]
        np.testing.assert_array_equal(getattr(again, name), np.stack(stacked))
    assert any((plan.batch(0, step).inputs != plan.batch(1, step).inputs).any() for step in range(plan.num_steps))


@given(st.lists(st.floats(0.01, 100), min_size=1, max_size=5))
def test_a_pattern_keeps_the_proportions_all_along(weights: list[float]) -> None:
    pattern = proportional_pattern(weights)
    shares = np.array(weights) / sum(weights)
    assert set(pattern.tolist()) == set(range(len(weights)))
    for length in range(1, len(pattern) + 1):
        counts = np.bincount(pattern[:length], minlength=len(weights))
        assert (np.abs(counts - length * shares) <= len(weights)).all()


def test_rows_of_documents_begin_with_each_group() -> None:
    vocabulary = CharacterVocabulary("abcdefghij")
    stream = tokenize([Document(text) for text in ("abcdefgh", "ab", "abcdef", "abc", "abcd")], vocabulary)
    rows = DocumentRows(stream, context_length=3, batch_size=2)
    read: dict[int, str] = {}
    groups = 0
    for step in range(rows.num_steps):
        groups += step in rows.begins
        _, targets, weights = rows.batch(0, step)
        for row in range(2):
            read[2 * groups + row] = read.get(2 * groups + row, "") + vocabulary.decode(targets[row][weights[row] > 0])
    assert [text for text in read.values() if text] == ["ab", "abc", "abcd", "abcdef", "abcdefgh"]

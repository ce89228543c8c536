"""Windows of a text for Keras: shapes, dtypes, order, and what is held out."""

import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargen.errors import ConfigError, CorpusError, UnknownTokenError
from chargen.training.devices.backend import load_backend

load_backend()

import keras  # noqa: E402

from chargen.keras import windows  # noqa: E402

TEXT = "the cat sat on the mat.\nthe dog sat on the log.\n" * 4


@given(
    text=st.text("abcd\n", min_size=12, max_size=60),
    context_length=st.integers(1, 5),
    stride=st.integers(1, 4),
    batch_size=st.integers(1, 7),
)
def test_windows_are_pieces_of_the_text(text: str, context_length: int, stride: int, batch_size: int) -> None:
    sizes = {"context_length": context_length, "stride": stride, "batch_size": batch_size}
    data = windows(f" {text}", one_hot=False, validation_split=0, shuffle=False, **sizes)
    batches = [data.training[number] for number in range(len(data.training))]
    inputs, targets = (np.concatenate(arrays) for arrays in zip(*batches, strict=True))
    starts = range(0, len(data.text) - context_length, stride)
    assert [data.vocabulary.decode(row) for row in inputs] == [data.text[start : start + context_length] for start in starts]
    assert data.vocabulary.decode(targets) == "".join(data.text[start + context_length] for start in starts)
    assert all(len(batch[0]) == batch_size for batch in batches[:-1])


@pytest.mark.parametrize("targets", ["last", "all"])
def test_one_hot_vectors_say_the_same_as_ids(targets: str) -> None:
    ids, vectors = (
        windows(TEXT, context_length=6, targets=targets, one_hot=one_hot, batch_size=4).training[1] for one_hot in (False, True)
    )
    for some, others in zip(ids, vectors, strict=True):
        assert (some.dtype, others.dtype) == (np.int32, np.float32)
        assert (others.sum(axis=-1) == 1).all()
        np.testing.assert_array_equal(others.argmax(axis=-1), some)
    assert ids[1].shape == ((4,) if targets == "last" else (4, 6))


def test_each_epoch_has_an_order_of_its_own_and_full_batches() -> None:
    data = windows(TEXT, context_length=5, stride=1, one_hot=False, batch_size=16).training

    def epoch() -> np.ndarray:
        return np.concatenate([data[number][0] for number in range(len(data))])

    first = epoch()
    data.on_epoch_end()
    assert len(first) == data.num_windows // 16 * 16
    assert (first != epoch()).any()
    again = windows(TEXT, context_length=5, stride=1, one_hot=False, batch_size=16).training
    np.testing.assert_array_equal(again[0][0], first[:16])


def test_the_end_of_the_text_is_held_out() -> None:
    data = windows(TEXT, context_length=5, stride=1, one_hot=False, validation_split=0.25)
    assert data.validation is not None
    inputs, targets = data.validation.arrays()
    held_out = TEXT[-(len(TEXT) // 4) :]
    assert data.vocabulary.decode(inputs[0]) == held_out[:5]
    assert data.vocabulary.decode(targets) == held_out[5:]


def test_the_forms_of_a_data_set_agree() -> None:
    data = windows(TEXT, context_length=5, batch_size=8, shuffle=False, validation_split=0).training
    inputs, targets = data.arrays()
    assert inputs.dtype == bool
    from_tensorflow = list(data.tf_dataset().as_numpy_iterator())
    assert len(from_tensorflow) == len(data)
    np.testing.assert_array_equal(np.concatenate([one for one, _ in from_tensorflow]), inputs)
    np.testing.assert_array_equal(np.concatenate([data[number][1] for number in range(len(data))]), targets)


@pytest.mark.parametrize("form", ["PyDataset", "tf.data"])
def test_fit_returns_soon_after_its_last_batch(form: str) -> None:
    data = windows(TEXT, context_length=5, batch_size=8, validation_split=0)
    model = keras.Sequential([keras.Input((5, data.vocab_size)), keras.layers.Flatten(), keras.layers.Dense(data.vocab_size)])
    model.compile("sgd", "mse")
    batches = data.training if form == "PyDataset" else data.training.tf_dataset()
    ends: list[float] = []
    last = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: ends.append(time.perf_counter()))
    model.fit(batches, epochs=3, verbose=0, callbacks=[last], shuffle=False)
    assert time.perf_counter() - ends[-1] < 5
    assert len(ends) == 3 * len(data.training)


def test_files_and_shipped_texts_are_read(in_folder: Path) -> None:
    (in_folder / "one.txt").write_text("first text\n", encoding="utf-8")
    (in_folder / "two.txt").write_bytes("zweiter Täxt\n".encode("cp1252"))
    data = windows([in_folder / "one.txt", "two.txt"], context_length=4, validation_split=0)
    assert data.text.split() == ["first", "text", "zweiter", "Täxt"]
    assert len(windows("male.txt").text) > 8000


def test_the_vocabulary_of_a_run_is_kept() -> None:
    data = windows(TEXT, context_length=4)
    other = windows("the hot dog", context_length=4, validation_split=0, vocabulary=data)
    assert other.vocabulary == data.vocabulary
    with pytest.raises(UnknownTokenError, match="'z'"):
        windows("the zoo", context_length=4, validation_split=0, vocabulary=data.vocabulary)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"context_length": 0}, "context_length is 0, expected 1 or more"),
        ({"targets": "every"}, "targets is 'every', expected one of last, all"),
        ({"validation_split": 0.95}, "validation_split is 0.95"),
        ({"vocabulary": 7}, "the vocabulary is a int, expected"),
    ],
)
def test_bad_values_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        windows(TEXT, **options)


def test_a_name_of_no_file_is_explained() -> None:
    with pytest.raises(CorpusError, match=r"there is no file 'nietzche.txt', and as a text it has 12 characters"):
        windows("nietzche.txt")
    with pytest.raises(CorpusError, match="the text has 20 characters, 2 of them for validation, expected more than 8"):
        windows("a short\ntext to learn"[:20], context_length=8)

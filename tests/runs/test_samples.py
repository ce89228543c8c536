from pathlib import Path

import pytest

from chargen.errors import RunError
from chargen.runs.samples import SampleText, read_samples
from chargen.training.recording.samples import sample_layout

ROWS = [
    (1, "Jo", 0.5, "Jore, Jon"),
    (1, "Jo", 1.2, "Josh\n\nno\n"),
    (3, 'He said: "No"\n"No', 0.5, 'He said: "No"\n"No, and\n----- diversity: 0.5\nwent'),
    (12, "", 1e-05, ""),
]


def written(rows: list[tuple[int, str, float, str]]) -> str:
    epochs = dict.fromkeys(epoch for epoch, *_ in rows)
    return "".join(sample_layout(epoch, [row for row in rows if row[0] == epoch]) + "\n" for epoch in epochs)


def read(tmp_path: Path, content: str | bytes) -> list[SampleText]:
    path = tmp_path / "samples.txt"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_samples(path)


def test_what_training_writes_is_read_back(tmp_path: Path) -> None:
    found = read(tmp_path, written(ROWS))
    assert [(one.epoch, one.prompt, one.diversity, one.text) for one in found] == [
        (epoch, prompt, diversity, text.rstrip("\n")) for epoch, prompt, diversity, text in ROWS
    ]


def test_headings_within_a_text_are_text(tmp_path: Path) -> None:
    for imitation in ("----- Generating text after epoch 9\n", sample_layout(1, [(1, "a", 0.5, "ab")])):
        found = read(tmp_path, written([(2, "x", 0.5, f"xy\n{imitation}z"), (3, "x", 0.5, "xz")]))
        assert found[0].text.startswith("xy\n-----")
        assert found[-1] == SampleText(3, 0.5, "x", "xz")


@pytest.mark.parametrize("length", range(0, 160, 7))
def test_a_file_that_was_cut_off(length: int, tmp_path: Path) -> None:
    content = written(ROWS[:2])[:length]
    found = read(tmp_path, content)
    assert [one.diversity for one in found] == [0.5, 1.2][: content.count('seed: "')]
    assert all(one.text in content for one in found)


def test_no_file_and_odd_ones(tmp_path: Path) -> None:
    assert read_samples(tmp_path / "missing.txt") == []
    assert read(tmp_path, b"") == []
    assert read(tmp_path, b"\xff\xfe\x00 nothing of the kind\n" * 9) == []
    odd = '----- Generating text after epoch 1\n----- diversity: 1e.+\n----- Generating with seed: "a"\nab\n'
    assert read(tmp_path, odd) == []
    (tmp_path / "folder.txt").mkdir()
    with pytest.raises(RunError, match="cannot read"):
        read_samples(tmp_path / "folder.txt")


def test_bytes_that_are_no_text_are_shown_as_such(tmp_path: Path) -> None:
    (found,) = read(tmp_path, written([(1, "a", 0.5, "ab\r")]).encode().replace(b"b\r", b"b\xff\r"))
    assert found.text == "ab\ufffd\r"

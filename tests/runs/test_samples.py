import json
from pathlib import Path

import pytest

from chargen.errors import RunError
from chargen.runs.samples import (
    SampleText,
    append_samples,
    convert_old_samples,
    cut_samples,
    read_samples,
    sample_layout,
    size_of_samples,
)

EPOCHS = [
    [SampleText(1, "Jo", 0.5, "Jore, Jon"), SampleText(1, "Jo", 1.2, "Josh\n\nno\n")],
    [SampleText(3, 'He said: "No"\n"No', 0.5, f'He said: "No"\n"No, and\n{sample_layout([SampleText(9, "a", 0.5, "ab")])}')],
    [SampleText(12, "", 1e-05, "\u2028\x85\ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16"))],
]
SAMPLES = [sample for epoch in EPOCHS for sample in epoch]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A samples.jsonl of three epochs, with its samples.txt."""
    path = tmp_path / "samples.jsonl"
    for epoch in EPOCHS:
        append_samples(path, epoch)
    return path


def test_the_layout_is_the_classic_one() -> None:
    assert sample_layout([SampleText(3, "Ha", 0.5, "Harold"), SampleText(3, "Ha", 1.2, "Haxq")]).splitlines() == [
        "----- Generating text after epoch 3",
        "----- diversity: 0.5",
        '----- Generating with seed: "Ha"',
        "Harold",
        "",
        "----- diversity: 1.2",
        '----- Generating with seed: "Ha"',
        "Haxq",
    ]


def test_every_sample_is_a_line_and_is_read_back(path: Path) -> None:
    assert read_samples(path) == SAMPLES
    lines = path.read_text(encoding="utf-8").split("\n")
    assert json.loads(lines[0]) == {"epoch": 1, "prompt": "Jo", "diversity": 0.5, "text": "Jore, Jon"}
    assert len(lines) == len(SAMPLES) + 1


def test_a_cut_leaves_both_files_as_they_were(path: Path) -> None:
    before, size = (path.read_bytes(), path.with_suffix(".txt").read_bytes()), size_of_samples(path)
    append_samples(path, [SampleText(13, "x", 0.5, "xy")])
    cut_samples(path, size)
    assert (path.read_bytes(), path.with_suffix(".txt").read_bytes()) == before
    cut_samples(path, 0)
    assert (path.read_bytes(), path.with_suffix(".txt").read_bytes()) == (b"", b"")


@pytest.mark.parametrize("length", range(0, 160, 7))
def test_a_line_that_was_cut_off_is_left_out(length: int, path: Path) -> None:
    content = path.read_bytes()[:length]
    path.write_bytes(content)
    assert read_samples(path) == SAMPLES[: content.count(b"\n")]


@pytest.mark.parametrize("line", ["[]", '{"epoch": 1}', "1", '{"epoch": 1, "prompt": "", "diversity": 1, "text": "", "x": 1}'])
def test_a_damaged_line_is_named(line: str, path: Path) -> None:
    path.write_text(path.read_text(encoding="utf-8") + f"{line}\n", encoding="utf-8")
    with pytest.raises(RunError, match=f"damaged at line {len(SAMPLES) + 1}"):
        read_samples(path)


def test_no_file_and_an_odd_one(tmp_path: Path) -> None:
    missing = tmp_path / "samples.jsonl"
    assert read_samples(missing) == []
    assert size_of_samples(missing) == 0
    cut_samples(missing, 0)
    convert_old_samples(missing, 0)
    assert not list(tmp_path.iterdir())
    missing.mkdir()
    with pytest.raises(RunError, match="cannot read"):
        read_samples(missing)


def as_old(path: Path) -> Path:
    """Leave what an older version wrote: samples.txt."""
    path.unlink()
    return path


def test_a_run_of_an_older_version_is_read(path: Path) -> None:
    append_samples(path, [SampleText(13, "x", 0.5, "xy")])
    found = read_samples(as_old(path))
    assert found[:2] == [SAMPLES[0], SAMPLES[1]._replace(text="Josh\n\nno")]
    assert found[-1] == SampleText(13, "x", 0.5, "xy")


def test_a_run_of_an_older_version_goes_on(path: Path) -> None:
    append_samples(path, [SampleText(13, "x", 0.5, "xy")])
    view = path.with_suffix(".txt")
    size = view.stat().st_size
    append_samples(path, [SampleText(14, "x", 0.5, "xz")])
    convert_old_samples(as_old(path), size)
    assert view.stat().st_size == size
    assert read_samples(path)[-1] == SampleText(13, "x", 0.5, "xy")


@pytest.mark.parametrize("length", range(0, 160, 7))
def test_an_old_file_that_was_cut_off(length: int, path: Path) -> None:
    content = path.with_suffix(".txt").read_bytes()[:length].decode()
    path.with_suffix(".txt").write_text(content, encoding="utf-8")
    found = read_samples(as_old(path))
    assert [one.diversity for one in found] == [0.5, 1.2][: len(found)]
    assert len(found) == content.count('seed: "')
    assert all(one.text in content for one in found)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe\x00 nothing of the kind\n" * 9,
        b'----- Generating text after epoch 1\n----- diversity: 1e.+\n----- Generating with seed: "a"\nab\n',
        b'----- Generating text after epoch x\n----- diversity: 0.5\n----- Generating with seed: "a"\nab\n',
        b'----- diversity: 0.5\n----- Generating with seed: "a"\nab\n',
    ],
)
def test_an_old_file_without_samples(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "samples.txt").write_bytes(content)
    assert read_samples(tmp_path / "samples.jsonl") == []


def test_bytes_that_are_no_text_are_shown_as_such(tmp_path: Path) -> None:
    written = sample_layout([SampleText(1, "a", 0.5, "ab\r")]).encode().replace(b"b\r", b"b\xff\r")
    (tmp_path / "samples.txt").write_bytes(written)
    (found,) = read_samples(tmp_path / "samples.jsonl")
    assert found.text == "ab\ufffd\r"

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

Invoke = Callable[..., Result]
WriteRun = Callable[..., Path]


def text_of(result: Result) -> str:
    assert result.exit_code == 0, result.stderr
    assert result.stderr == ""
    return result.stdout


def test_the_newest_run_is_taken(invoke: Invoke, write_run: WriteRun) -> None:
    for age, name in enumerate(["a", "c", "b"]):
        path = write_run(name, characters="xyz"[age] + "\n")
        os.utime(path, (1_000_000 - age, 1_000_000 - age))
    assert set(text_of(invoke("sample")).replace("\n", "")) == {"x"}


@pytest.mark.parametrize("spec", ["other", "runs/other", "runs/other/model.safetensors"])
def test_a_run_is_named_or_pointed_at(spec: str, invoke: Invoke, write_run: WriteRun) -> None:
    write_run("other", characters="q\n")
    write_run("newer", characters="z\n")
    assert "q" in text_of(invoke("sample", "--run", spec))


def test_a_document_begins_with_the_prompt_and_has_the_length(invoke: Invoke, write_run: WriteRun) -> None:
    write_run()
    text = text_of(invoke("sample", "--seed", "Hab", "--length", 30))
    assert text.startswith("Hab")
    assert len(text) == len("Hab") + 30 + len("\n")


@pytest.mark.parametrize("prompt", ["", "H", "Habcabcabcabc"])
def test_prompts_of_any_length(prompt: str, invoke: Invoke, write_run: WriteRun) -> None:
    write_run()
    assert text_of(invoke("sample", "--seed", prompt)).startswith(prompt)


def test_a_model_of_lines_writes_lines(invoke: Invoke, write_run: WriteRun) -> None:
    write_run(reading="line", characters="abH")
    lines = text_of(invoke("sample", "--seed", "H")).splitlines()
    assert len(lines) == 10
    assert all(line.startswith("H") for line in lines)
    assert len(text_of(invoke("sample", "--count", 3)).splitlines()) == 3


def test_several_documents_are_set_apart(invoke: Invoke, write_run: WriteRun) -> None:
    write_run(characters="abH")
    assert len(text_of(invoke("sample", "--count", 4, "--length", 9)).split("\n\n")) == 4


def test_greedy_is_temperature_zero(invoke: Invoke, write_run: WriteRun) -> None:
    write_run()
    assert (
        text_of(invoke("sample", "--greedy"))
        == text_of(invoke("sample", "--temp", 0))
        == text_of(invoke("sample", "--top-k", 1))
    )


def test_a_random_seed_repeats_the_text(invoke: Invoke, write_run: WriteRun) -> None:
    write_run()
    one, same, other = (text_of(invoke("sample", "--random-seed", seed)) for seed in (1, 1, 2))
    assert one == same != other
    assert text_of(invoke("sample")) != text_of(invoke("sample"))


def test_until_ends_the_text(invoke: Invoke, write_run: WriteRun) -> None:
    write_run()
    assert text_of(invoke("sample", "--until", "b", "--length", 5000)).endswith("b\n")


def test_json(invoke: Invoke, write_run: WriteRun) -> None:
    write_run()
    parsed = json.loads(text_of(invoke("sample", "--json", "--count", 3, "--seed", "Hé", "--length", 5)))
    assert parsed["prompt"] == "Hé"
    assert [len(text) for text in parsed["texts"]] == [7, 7, 7]


def test_output_is_written_whole(invoke: Invoke, write_run: WriteRun, in_folder: Path) -> None:
    write_run()
    assert text_of(invoke("sample", "--random-seed", 3, "--output", "new.txt")) == ""
    assert (in_folder / "new.txt").read_text(encoding="utf-8") == text_of(invoke("sample", "--random-seed", 3))


@pytest.mark.parametrize(("choice", "begins"), [("skip", "Hb"), ("nearest", "Hbé")])
def test_unknown_characters(choice: str, begins: str, invoke: Invoke, write_run: WriteRun) -> None:
    write_run()
    assert text_of(invoke("sample", "--seed", "HBÉ" if choice == "nearest" else "HЖb", "--on-unknown", choice)).startswith(
        begins
    )


def test_a_reader_that_leaves_early_is_no_error(write_run: WriteRun, in_folder: Path) -> None:
    write_run(characters="abH")
    command = f"{sys.executable} -m chargen sample --length 200000 | head -c 10"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], cwd=in_folder, capture_output=True, text=True, check=False)
    assert (done.returncode, len(done.stdout), done.stderr) == (0, 10, "")

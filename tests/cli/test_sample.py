import json
import os
import subprocess
import sys
from collections.abc import Callable
from itertools import product
from pathlib import Path

import pytest
from click.testing import Result

from chargen.corpus.vocabulary import CharacterVocabulary
from tests.cli.results import text_of

Invoke = Callable[..., Result]
WriteRun = Callable[..., Path]


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


@pytest.mark.parametrize("choice", ["skip", "nearest"])
def test_the_prompt_comes_back_as_it_was_typed(choice: str, invoke: Invoke, write_run: WriteRun) -> None:
    write_run()
    options = ["--on-unknown", choice, "--length", 9, "--random-seed", 1]
    found = json.loads(text_of(invoke("sample", "--seed", "HBЖb", *options, "--json")))
    assert found["prompt"] == "HBЖb"
    assert found["texts"][0].startswith("HBЖb")
    read = {"skip": "Hb", "nearest": "Hbéb"}[choice]  # the same continuation as after what is read of it
    assert found["texts"][0][4:] == text_of(invoke("sample", "--seed", read, *options))[len(read) : -1]
    assert text_of(invoke("sample", "--seed", "HBЖb", *options)) == found["texts"][0] + "\n"


def test_a_reader_that_leaves_early_is_no_error(write_run: WriteRun, in_folder: Path) -> None:
    write_run(characters="abH")
    command = f"{sys.executable} -m chargen sample --length 200000 | head -c 10"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], cwd=in_folder, capture_output=True, text=True, check=False)
    assert (done.returncode, len(done.stdout), done.stderr) == (0, 10, "")


def test_several_temperatures_take_turns(invoke: Invoke, write_run: WriteRun) -> None:
    write_run()
    plain, same, turns, once = (
        text_of(invoke("sample", "--random-seed", 1, "--temp", temp)) for temp in ("0.7", "0.7,0.7", "0.7,3", "0.7,3,3")
    )
    assert plain == same
    assert len({plain, turns, once}) == 3


def test_a_penalty_breaks_a_loop(invoke: Invoke, write_run: WriteRun) -> None:
    write_run(characters="abcdefgh")
    plain, penalized = (
        text_of(invoke("sample", "--greedy", "--repetition-penalty", penalty, "--repetition-window", 4, "--length", 100))
        for penalty in (1, 50)
    )
    assert plain == text_of(invoke("sample", "--greedy", "--length", 100))
    assert len(set(penalized)) > len(set(plain))


def test_banned_characters_do_not_come(invoke: Invoke, write_run: WriteRun) -> None:
    write_run()
    assert "b" in text_of(invoke("sample", "--random-seed", 1))
    text = text_of(invoke("sample", "--random-seed", 1, "--ban", "bxЖ", "--seed", "b"))
    assert "b" not in text[1:]


def test_names_as_they_are_wanted(invoke: Invoke, write_run: WriteRun) -> None:
    write_run(reading="line", characters="abH")
    wanted = ["--min-length", 4, "--max-length", 6, "--must-contain", "ba", "--seed", "H", "--count", 25]
    lines = text_of(invoke("sample", *wanted)).splitlines()
    assert len(lines) == 25
    assert {len(line) for line in lines} == {4, 5, 6}
    assert all(line.startswith("H") and "ba" in line for line in lines)
    (one,) = text_of(invoke("sample", *wanted, "--count", 1)).splitlines()
    assert "ba" in one


def test_a_beam_finds_the_same_best_texts_each_time(invoke: Invoke, write_run: WriteRun) -> None:
    write_run(reading="line", characters="abH")
    found = json.loads(text_of(invoke("sample", "--beam", 6, "--count", 4, "--json", "--seed", "H")))
    assert found["prompt"] == "H"
    assert len(set(found["texts"])) == 4
    assert found["log_probabilities"] == sorted(found["log_probabilities"], reverse=True)
    assert text_of(invoke("sample", "--beam", 6, "--count", 4, "--seed", "H")).splitlines() == found["texts"]
    assert text_of(invoke("sample", "--beam", 6, "--seed", "H")).splitlines() == found["texts"][:1]


def test_a_beam_of_one_is_greedy(invoke: Invoke, write_run: WriteRun) -> None:
    write_run()
    assert text_of(invoke("sample", "--beam", 1)) == text_of(invoke("sample", "--greedy"))


def test_a_beam_keeps_to_the_limits(invoke: Invoke, write_run: WriteRun) -> None:
    write_run(reading="line", characters="abH")
    limits = ["--min-length", 3, "--max-length", 3, "--ban", "a", "--beam", 9]
    lines = text_of(invoke("sample", *limits, "--count", 8)).splitlines()
    assert sorted(lines) == sorted(map("".join, product("bH", repeat=3)))  # all there are
    result = invoke("sample", *limits, "--count", 9)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "the search found 8 of 9 texts" in result.stderr


@pytest.mark.parametrize("how", ["average", "turns"])
def test_models_write_together(how: str, invoke: Invoke, write_run: WriteRun) -> None:
    write_run("one", seed=1)
    write_run("other", seed=2)
    alone, other, twice, together = (
        text_of(invoke("sample", "--random-seed", 1, *[part for name in names for part in ("--run", name)], "--ensemble", how))
        for names in (["one"], ["other"], ["one", "one"], ["one", "other"])
    )
    assert alone == twice
    assert len({alone, other, together}) == 3


LABELLED = {"reading": "line", "vocabulary": CharacterVocabulary("abcH\u00e9\n", labels=("female", "male"))}


def test_a_label_chooses_the_way_of_writing(invoke: Invoke, write_run: WriteRun) -> None:
    write_run(**LABELLED)
    for text in ("", "a" * 9):  # which is longer than the context
        likely = {label: invoke("next", text, "--label", label, "--json").stdout for label in ("female", "male")}
        assert likely["female"] != likely["male"]
    drawn = {label: text_of(invoke("sample", "--label", label, "--random-seed", 1)) for label in ("female", "male")}
    assert drawn["female"] != drawn["male"]


@pytest.mark.parametrize("command", ["sample", "next", "play"])
def test_a_wrong_label_is_one_line(command: str, invoke: Invoke, write_run: WriteRun) -> None:
    write_run(**LABELLED)
    for options, told in [
        ((), "needs a label; choose --label from female, male"),
        (("--label", "other"), "the model has never seen the label 'other'; it knows female, male"),
    ]:
        result = invoke(command, *options)
        assert result.exit_code == 2
        assert told in result.stderr
        assert result.stderr.count("\n") == 1
    write_run("plain")
    result = invoke(command, "--label", "male")
    assert "never seen the label 'male'; it was trained without labels" in result.stderr

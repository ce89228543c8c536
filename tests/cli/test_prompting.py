"""The text to continue: typed, from a file, from stdin; and what is said of how texts stopped."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from chargen.corpus.words import WordVocabulary
from tests.cli.results import assert_one_line, text_of

Invoke = Callable[..., Result]
WriteRun = Callable[..., Path]


@pytest.fixture
def prompt_of(invoke: Invoke, write_run: WriteRun) -> Callable[..., str]:
    """The prompt that a command line leads to."""
    write_run()

    def run(*arguments: str, **options: object) -> str:
        prompt: str = json.loads(text_of(invoke("sample", "--json", "--length", 1, *arguments, **options)))["prompt"]
        return prompt

    return run


@pytest.mark.parametrize(
    ("content", "prompt"),
    [
        (b"Hab\n", "Hab"),
        (b"Hab", "Hab"),
        (b"Hab\r\n", "Hab"),
        (b"Hab\n\n", "Hab\n"),
        (b"ab\nHa\n", "ab\nHa"),
        ("Hé\n".encode("latin-1"), "Hé"),
        ("Hé\n".encode("utf-16"), "Hé"),
        (b"\xef\xbb\xbfHa\n", "Ha"),
    ],
)
def test_a_prompt_is_read_from_a_file_or_stdin(
    content: bytes, prompt: str, prompt_of: Callable[..., str], in_folder: Path
) -> None:
    (in_folder / "prompt.txt").write_bytes(content)
    assert prompt_of("--seed-file", "prompt.txt") == prompt
    assert prompt_of("--seed-file", "-", input=content) == prompt
    assert prompt_of("--seed", "-", input=content) == prompt


def test_the_command_line_comes_before_the_environment(prompt_of: Callable[..., str], in_folder: Path) -> None:
    (in_folder / "prompt.txt").write_text("abc")
    assert prompt_of("--seed-file", "prompt.txt", env={"CHARGEN_SAMPLE_SEED": "H"}) == "abc"
    assert prompt_of("--seed", "H", env={"CHARGEN_SAMPLE_SEED_FILE": "prompt.txt"}) == "H"
    assert prompt_of(env={"CHARGEN_SAMPLE_SEED_FILE": "prompt.txt"}) == "abc"


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["sample", "--seed", "a", "--seed-file", "p.txt"], ["--seed and --seed-file both give"]),
        (["sample", "--seed", "-", "--seed-file", "p.txt"], ["--seed and --seed-file both give"]),
        (["next", "a", "--seed-file", "p.txt"], ["TEXT and --seed-file both give"]),
        (["sample", "--seed-file", "missing.txt"], ["no such file: missing.txt"]),
        (["sample", "--seed-file", "empty.txt"], ["empty.txt is empty"]),
        (["sample", "--seed-file", "folder"], ["folder"]),
        (["sample", "--seed", "-"], ["stdin is empty"]),
        (["play", "--seed", "-"], ["stdin is for your answers", "--seed-file FILE"]),
        (["play", "--seed-file", "-"], ["stdin is for your answers"]),
    ],
    ids=lambda value: " ".join(value)[:50],
)
def test_what_is_no_prompt(
    arguments: list[str], parts: list[str], invoke: Invoke, write_run: WriteRun, in_folder: Path
) -> None:
    write_run()
    (in_folder / "p.txt").write_text("a")
    (in_folder / "empty.txt").write_bytes(b"")
    (in_folder / "folder").mkdir()
    assert_one_line(invoke(*arguments, input=""), *parts)


def test_next_and_play_take_a_prompt_from_a_file(invoke: Invoke, write_run: WriteRun, in_folder: Path) -> None:
    write_run()
    (in_folder / "p.txt").write_text("Hab\n")
    typed = text_of(invoke("next", "Hab", "--json"))
    assert typed == text_of(invoke("next", "--seed-file", "p.txt", "--json"))
    assert typed == text_of(invoke("next", "-", "--json", input="Hab\n"))
    assert invoke("play", "-q", "--seed-file", "p.txt", input="").stdout == "Hab\n"


WORDS = WordVocabulary(["The", " cat", " sat", "."], num_characters=9)


@pytest.mark.parametrize("command", [["sample", "--seed"], ["next"]], ids=" ".join)
def test_an_unknown_word_is_an_error_that_names_it(command: list[str], invoke: Invoke, write_run: WriteRun) -> None:
    write_run(vocabulary=WORDS)
    for typed in ("dog", "The dog sat"):
        assert_one_line(invoke(*command, typed), "the model has never seen 'dog'", "--on-unknown skip")
        assert_one_line(invoke(*command, typed, "--on-unknown", "error"), "the model has never seen 'dog'")


def test_a_prompt_of_words_comes_back_as_it_was_typed(invoke: Invoke, write_run: WriteRun) -> None:
    write_run(vocabulary=WORDS)
    for choice in ("skip", "nearest"):
        options = ["--on-unknown", choice, "--random-seed", 2]
        found = json.loads(text_of(invoke("sample", "--seed", "The dog\tsat ", "--json", *options)))
        assert found["prompt"] == "The dog\tsat "
        assert found["texts"][0].startswith("The dog\tsat ")
        assert text_of(invoke("sample", "--seed", "The dog\tsat ", *options)) == found["texts"][0] + "\n"
        following = json.loads(text_of(invoke("next", "The dog sat", "--json", "--on-unknown", choice)))
        assert following["text"] == "The dog sat"
        known = {"skip": ["The", " sat"], "nearest": ["The", " dog", " sat"]}
        assert [one["token"] for one in following["read"]] == known[choice]
    result = invoke("play", "-q", "--seed", "The dog", input="")
    assert (result.exit_code, result.stdout) == (0, "The dog\n")
    assert "never seen 'dog'" in result.stderr


@pytest.mark.parametrize("count", [1, 3])
def test_length_counts_characters(count: int, invoke: Invoke, write_run: WriteRun) -> None:
    write_run(vocabulary=WORDS)
    found = json.loads(text_of(invoke("sample", "--length", 10, "--count", count, "--json")))
    assert [len(text) for text in found["texts"]] == [10] * count
    assert found["stopped"] == ["length"] * count


@pytest.mark.parametrize(
    ("arguments", "stopped", "note"),
    [
        (["--until", "zzzz"], ["length"], "--until 'zzzz' did not occur within 200 characters"),
        (["--until", "zzzz", "--length", 30], ["length"], "--until 'zzzz' did not occur within 30 characters"),
        (["--until", "zzzz", "--count", 3], ["length"] * 3, "--until 'zzzz' did not occur in 3 of 3 texts"),
        (["--until", "zzzz", "--beam", 2], ["length"], "--until 'zzzz' did not occur within 200 characters"),
        (["--until", "a"], ["until"], ""),
        (["--until", "a", "--count", 3], ["until"] * 3, ""),
        ([], ["length"], ""),
    ],
    ids=str,
)
def test_why_a_text_stopped(arguments: list[str], stopped: list[str], note: str, invoke: Invoke, write_run: WriteRun) -> None:
    write_run()
    plain = invoke("sample", "--random-seed", 1, *arguments) if "--beam" not in arguments else invoke("sample", *arguments)
    assert plain.stderr == (f"{note}\n" if note else "")
    assert invoke("sample", "-q", *arguments).stderr == ""
    found = invoke("sample", "--json", *arguments)
    assert (json.loads(found.stdout)["stopped"], found.stderr) == (stopped, "")


def test_a_line_stops_at_its_end(invoke: Invoke, write_run: WriteRun) -> None:
    write_run(reading="line", characters="abH")
    found = json.loads(text_of(invoke("sample", "--until", "HHHHHHHH", "--json", "--count", 4)))
    assert found["stopped"] == ["end"] * 4
    result = invoke("sample", "--until", "HHHHHHHH", "--count", 1)
    assert result.stderr == "--until 'HHHHHHHH' did not occur before the text ended\n"


def test_several_lines_are_different(invoke: Invoke, write_run: WriteRun) -> None:
    write_run(reading="line", characters="abH")
    some = ["sample", "--count", 40, "--random-seed", 5]
    lines = text_of(invoke(*some)).splitlines()
    assert len(set(lines)) == len(lines) == 40
    assert lines == text_of(invoke(*some, "--distinct")).splitlines()
    plain = text_of(invoke(*some, "--no-distinct")).splitlines()
    assert len(set(plain)) < len(plain) == 40
    kept = list(dict.fromkeys(plain))
    assert lines[: len(kept)] == kept  # the same draws, and then more


def test_where_no_more_lines_differ(invoke: Invoke, write_run: WriteRun) -> None:
    write_run(reading="line", characters="abH")
    told = "the network wrote only 1 different text of 20; a higher --temp gives more variety, --no-distinct allows repeats\n"
    fewer = invoke("sample", "--greedy", "--count", 20)
    assert (fewer.exit_code, len(fewer.stdout.splitlines()), fewer.stderr) == (0, 1, told)
    found = invoke("sample", "--greedy", "--count", 20, "--json")
    assert (len(json.loads(found.stdout)["texts"]), found.stderr) == (1, told)
    assert len(text_of(invoke("sample", "--greedy", "--count", 20, "--no-distinct")).splitlines()) == 20
    refused = invoke("sample", "--greedy", "--count", 20, "--distinct")
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert refused.stderr.startswith("chargen: only 1 different text among ")

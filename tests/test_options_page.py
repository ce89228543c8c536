"""The page about the options is equal to the output of its program, with any texts."""

import doctest
import re

import click
import pytest

from benchmarks import options
from benchmarks.options import LESSONS, PAGE, TRAINING, WRITING, Lesson, Outcome, flags, measure, page, split
from chargen.cli.sample import command as sample_command
from chargen.cli.train import command as train_command

TINY = {"files": ("tiny.txt",), "hidden_size": 4, "epochs": 1, "backend": "numpy"}


def test_the_page_is_what_the_code_makes() -> None:
    """Except the texts and figures, which are taken from the page; after a change run: python -m benchmarks options."""
    written = PAGE.read_text(encoding="utf-8")
    found = re.findall(r"^\*\*[^\n]+\*\*(?: \(([^)\n]+)\))?\n\n```text\n(.*?)\n```$", written, re.DOTALL | re.MULTILINE)
    outcomes = iter([Outcome(text, figures) for figures, text in found])
    assert page([[next(outcomes) for _ in lesson.variants] for lesson in LESSONS]) == written
    assert next(outcomes, None) is None
    assert all(text.strip() for _, text in found)


def test_the_examples_work() -> None:
    assert doctest.testmod(options).failed == 0 < doctest.testmod(options).attempted


def opts(command: click.Command) -> set[str]:
    return {flag for one in command.params for flag in one.opts}


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.name)
def test_every_option_is_one_of_its_command(lesson: Lesson) -> None:
    assert lesson.name.partition(" ")[0] in opts(sample_command if lesson in WRITING else train_command)
    for variant in lesson.variants:
        training, sampling = split(lesson.training | lesson.writing | variant.options)
        for given, command in ((training, train_command), (sampling, sample_command)):
            assert set(re.findall(r"--[a-z-]+", flags(given))) - {"--files"} <= opts(command)


@pytest.mark.parametrize("lesson", [WRITING[0], WRITING[3], TRAINING[0], TRAINING[-2]], ids=lambda lesson: lesson.name)
def test_a_lesson_can_be_measured(lesson: Lesson) -> None:
    (outcomes,) = measure([lesson], over=TINY)
    assert len(outcomes) == len(lesson.variants)
    assert all(one.text and bool(one.figures) == lesson.measured for one in outcomes)

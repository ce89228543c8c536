"""Read the sample texts of a run from its samples.txt, whose layout other text may imitate."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from chargen.errors import RunError

EPOCH = re.compile(r'----- Generating text after epoch (\d{1,9})\n(?=----- diversity: [^\n]*\n----- Generating with seed: ")')
DIVERSITY = re.compile(r"(?:\A|\n)----- diversity: ([0-9.e+-]{1,20})\n(?=----- Generating with seed: \")")
SEED = '----- Generating with seed: "'
SEED_END = '"\n'


class SampleText(NamedTuple):
    """A text that was drawn after an epoch, counted from 1; the prompt is its beginning."""

    epoch: int
    diversity: float
    prompt: str
    text: str


def read_samples(path: Path) -> list[SampleText]:
    """Read the sample texts of a run, one that was cut off too; none where there is no file. Raises RunError.

    Epochs only rise, so a line within a text that looks like an epoch's heading is told from one mostly.
    """
    try:
        content = path.read_bytes().decode("utf-8", "replace")
    except FileNotFoundError:
        return []
    except OSError as error:
        raise RunError(f"cannot read {path}: {error.strerror}") from error
    return [sample for epoch, section in _sections(content) for sample in _samples(epoch, section)]


def _sections(content: str) -> list[tuple[int, str]]:
    """Return each epoch with what stands below its heading."""
    headings: list[re.Match[str]] = []
    for found in EPOCH.finditer(content):
        at_line_start = found.start() == 0 or content[found.start() - 1] == "\n"
        if at_line_start and int(found[1]) > (int(headings[-1][1]) if headings else 0):
            headings.append(found)
    return [(int(heading[1]), below) for heading, below in _parted(content, headings)]


def _samples(epoch: int, section: str) -> Iterator[SampleText]:
    for heading, below in _parted(section, list(DIVERSITY.finditer(section))):
        prompt, text = _prompt_and_text(below.removeprefix(SEED))
        try:
            yield SampleText(epoch, float(heading[1]), prompt, text.rstrip("\n"))
        except ValueError:  # a number by its characters alone
            continue


def _parted(text: str, headings: Sequence[re.Match[str]]) -> Iterator[tuple[re.Match[str], str]]:
    """Yield each heading with the text from it to the next one."""
    for number, heading in enumerate(headings, start=1):
        yield heading, text[heading.end() : headings[number].start() if number < len(headings) else len(text)]


def _prompt_and_text(written: str) -> tuple[str, str]:
    """Part PROMPT"<newline>TEXT: of all places where a prompt may end, at the first after which the text begins with it."""
    place = written.find(SEED_END)
    while place >= 0:
        prompt, text = written[:place], written[place + len(SEED_END) :]
        if text.startswith(prompt):
            return prompt, text
        place = written.find(SEED_END, place + 1)
    prompt, _, text = written.partition(SEED_END)
    return "", text or prompt

"""Read the samples.txt of runs by older versions, which wrote no samples.jsonl."""

from collections.abc import Iterator
from contextlib import suppress

EPOCH = "\n----- Generating text after epoch "
DIVERSITY = "\n----- diversity: "
PROMPT, PROMPT_END = '\n----- Generating with seed: "', '"\n'


def parse_layout(content: str) -> Iterator[tuple[int, str, float, str]]:
    """Yield epoch, prompt, diversity and text of each sample, also of a file that was cut off."""
    heading, *parts = f"\n{content}".split(DIVERSITY)
    epoch = _epoch(heading.removeprefix(EPOCH))
    for part in parts:
        sample, found, number = part.rpartition(EPOCH)  # the heading of the next epoch
        following = _epoch(number) if found else None
        diversity, found, written = (part if following is None else sample).partition(PROMPT)
        prompt, text = _prompt_and_text(written)
        with suppress(ValueError):  # where the diversity is no number
            if found and epoch is not None:
                yield epoch, prompt, float(diversity), text.rstrip("\n")
        epoch = following or epoch


def _epoch(number: str) -> int | None:
    return int(number) if number.isdecimal() and len(number) < 10 else None


def _prompt_and_text(written: str) -> tuple[str, str]:
    """Split PROMPT"<newline>TEXT at the first place after which the text begins with the prompt."""
    place = written.find(PROMPT_END)
    while place >= 0:
        prompt, text = written[:place], written[place + len(PROMPT_END) :]
        if text.startswith(prompt):
            return prompt, text
        place = written.find(PROMPT_END, place + 1)
    prompt, _, text = written.partition(PROMPT_END)
    return "", text or prompt

"""Draw sample texts after an epoch, and record them."""

from collections.abc import Mapping
from typing import Any, final

import numpy as np

from chargen.corpus.large_text import Text
from chargen.corpus.vocabulary import Vocabulary
from chargen.corpus.words import split_words
from chargen.network.model_file import TextModel
from chargen.runs.directory import RunDirectory
from chargen.runs.samples import SampleText, append_samples, convert_old_samples, cut_samples, size_of_samples
from chargen.settings.writing import SamplingOptions
from chargen.training.planning.text_plan import TextPlan
from chargen.writing.generation import sample_texts
from chargen.writing.prompt import Prompt
from chargen.writing.sampling import Sampler

NAMES_IN_A_SAMPLE = 10  # lines in a sample text of a model of lines
NAME_PROMPT_CHARACTERS = 2
NAME_SEPARATOR = ", "
PROMPT_CHARACTERS_PER_TOKEN = {"character": 1, "byte": 1, "word": 6, "bpe": 3}  # read to get a prompt as long as a window


@final
class SampleLog:
    """Draws sample texts and appends them to samples.jsonl and samples.txt."""

    def __init__(self, plan: TextPlan, run: RunDirectory) -> None:
        self._plan, self._path = plan, run.samples

    def write(self, model: TextModel, epoch: int) -> list[SampleText]:
        """Draw, write and return the sample texts of an epoch."""
        samples = draw_samples(model, self._plan, epoch)
        append_samples(self._path, samples)
        return samples

    def facts(self) -> dict[str, Any]:
        """Return what a checkpoint stores."""
        return {"samples_size": size_of_samples(self._path)}

    def restore(self, facts: Mapping[str, Any]) -> None:
        """Remove the sample texts that came after a checkpoint, which an older version may have written."""
        if "samples_size" in facts:
            cut_samples(self._path, facts["samples_size"])
        else:
            convert_old_samples(self._path, facts["samples_bytes"])


def draw_samples(model: TextModel, plan: TextPlan, epoch: int) -> list[SampleText]:
    """Draw text at each diversity from a prompt of the corpus; all depends on the random seed and the epoch."""
    samples = plan.settings.samples
    rng = np.random.default_rng([plan.settings.training.random_seed, epoch])
    by_line = plan.corpus.reading == "line"
    document = plan.documents[int(rng.integers(len(plan.documents)))]
    starts = by_line or plan.corpus.entries
    prompt = corpus_prompt(document.text, plan.vocabulary, by_line=starts, length=model.context_length, rng=rng)
    if document.label is not None:
        model = model.with_label(document.label)
    drawn = []
    for diversity in samples.diversity:
        texts = sample_texts(
            model,
            prompt.ids,
            count=NAMES_IN_A_SAMPLE if by_line else 1,
            length=max(1, samples.sample_length // NAMES_IN_A_SAMPLE) if by_line else samples.sample_length,
            sampler=Sampler(SamplingOptions(temperature=(diversity,))),
            rng=rng,
        )
        text = NAME_SEPARATOR.join(prompt.text + text for text in texts)
        drawn.append(SampleText(epoch, prompt.text, diversity, text))
    return drawn


def corpus_prompt(text: Text, vocabulary: Vocabulary, *, by_line: bool, length: int, rng: np.random.Generator) -> Prompt:
    """Return a prompt from the corpus: the first letters of a line, or `length` tokens of a document at a random place."""
    if by_line:
        return _read(str(text[:NAME_PROMPT_CHARACTERS]), vocabulary)
    characters = length * PROMPT_CHARACTERS_PER_TOKEN[vocabulary.kind]
    start = int(rng.integers(max(1, len(text) - characters)))
    return _read(str(text[start : start + characters]), vocabulary, length)


def _read(text: str, vocabulary: Vocabulary, length: int | None = None) -> Prompt:
    """Return the first `length` tokens of a text of the corpus, which may contain unknown words."""
    ids = vocabulary.encode(text)[:length]
    words = split_words(text)[:length] if vocabulary.kind == "word" else None
    return Prompt(vocabulary.decode(ids) if words is None else "".join(words), ids)

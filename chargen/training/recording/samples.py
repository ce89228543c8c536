"""Sample text while a network learns, in the layout of the classic demos."""

import numpy as np

from chargen.corpus.large_text import Text
from chargen.corpus.vocabulary import Ids, Vocabulary
from chargen.network.generation import sample_texts
from chargen.network.model_file import TextModel
from chargen.network.sampling import Sampler
from chargen.tracking.tracker import SampleRow
from chargen.training.planning.plan import TrainingPlan

NAMES_IN_A_SAMPLE = 10  # documents written for a sample text of a corpus of lines
NAME_PROMPT_CHARACTERS = 2
NAME_SEPARATOR = ", "
PROMPT_CHARACTERS_PER_TOKEN = {"character": 1, "byte": 1, "word": 6, "bpe": 3}  # read for a prompt as long as a window


def sample_rows(model: TextModel, plan: TrainingPlan, epoch: int) -> list[SampleRow]:
    """Write text at each diversity from one prompt out of the corpus, drawn from the random seed and the epoch."""
    samples = plan.settings.samples
    rng = np.random.default_rng([plan.settings.training.random_seed, epoch])
    by_line = plan.corpus.reading == "line"
    document = plan.documents[int(rng.integers(len(plan.documents)))]
    ids = corpus_prompt(document.text, plan.vocabulary, by_line=by_line, length=model.context_length, rng=rng)
    prompt = plan.vocabulary.decode(ids)
    if document.label is not None:
        model = model.with_label(document.label)
    rows = []
    for diversity in samples.diversity:
        texts = sample_texts(
            model,
            ids,
            count=NAMES_IN_A_SAMPLE if by_line else 1,
            length=max(1, samples.sample_length // NAMES_IN_A_SAMPLE) if by_line else samples.sample_length,
            sampler=Sampler(temperature=diversity),
            rng=rng,
        )
        rows.append((epoch, prompt, diversity, NAME_SEPARATOR.join(prompt + text for text in texts)))
    return rows


def corpus_prompt(text: Text, vocabulary: Vocabulary, *, by_line: bool, length: int, rng: np.random.Generator) -> Ids:
    """Return ids of the first letters of a line, or of a random window of `length` tokens of a document."""
    if by_line:
        return vocabulary.encode(str(text[:NAME_PROMPT_CHARACTERS]))
    characters = length * PROMPT_CHARACTERS_PER_TOKEN[vocabulary.kind]
    start = int(rng.integers(max(1, len(text) - characters)))
    return vocabulary.encode(str(text[start : start + characters]))[:length]


def sample_layout(epoch: int, rows: list[SampleRow]) -> str:
    """Return sample texts in the layout of the classic Keras text-generation example."""
    lines = [f"----- Generating text after epoch {epoch}"]
    for _, prompt, diversity, text in rows:
        lines += [f"----- diversity: {diversity:g}", f'----- Generating with seed: "{prompt}"', text, ""]
    return "\n".join(lines)

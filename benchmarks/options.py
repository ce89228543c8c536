"""Train small networks that differ in one option each, and write docs/options.md with their texts.

The page consists of the lessons below and of the measured outcomes.
"""

import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from textwrap import fill
from typing import Any, NamedTuple

import chargen
from chargen.corpus.reading import read_sources

PAGE = Path(__file__).parent.parent / "docs" / "options.md"

Options = dict[str, Any]

BOOK: Options = {
    "files": ("book.txt",),
    "config": "plain",
    "validation": "tail",
    "cell": "lstm",
    "hidden_size": 128,
    "dropout": 0.0,
    "tokens": "char",
    "context_length": 50,
    "batch_size": 16,
    "learning_rate": 0.01,
    "epochs": 15,
    "patience": 0,
}
NAMES: Options = BOOK | {"files": ("male.txt",), "context_length": 12}
PROMPT: Options = {"seed": "The ", "length": 240, "random_seed": 1}
COOL = PROMPT | {"temp": 0.7}

WIDTH = 128
KNOWN_CHARACTERS = 6000  # of the training text, measured as known text


class Variant(NamedTuple):
    """One variant of an option. shown: its heading, by default its own options."""

    options: Options
    shown: str = ""


class Lesson(NamedTuple):
    """One option. teaches: what to look at and why. training, writing: the options of all variants."""

    title: str
    teaches: str
    variants: Sequence[Variant]
    training: Options = BOOK
    writing: Options = PROMPT
    measured: bool = False  # whether the variants differ in training, so that figures are shown

    @property
    def name(self) -> str:
        """The option's flag."""
        return self.title.partition("`")[2].partition("`")[0]


class Outcome(NamedTuple):
    """The text and the figures of a variant."""

    text: str
    figures: str = ""


WRITING = (
    Lesson(
        "`--temp`: how random the text is",
        "The network gives each character a probability, and one is drawn. A low temperature makes probable characters "
        "even more probable: nearly all words are right, and the same phrases are repeated. A high temperature makes rare "
        "characters more probable: look for words that do not exist. At 1 the probabilities are those of the network.",
        [Variant({"temp": value}) for value in (0.2, 0.5, 1.0, 1.5)],
    ),
    Lesson(
        "`--top-k`: only the K best",
        "Only the K most probable characters can be drawn. A small K removes the worst errors, but it does not depend on "
        "the position: it allows K characters where a hundred would be good, and also where only one is right. K = 1 is "
        "greedy: nothing is random.",
        [Variant({"top_k": value}) for value in (1, 3, 10)],
    ),
    Lesson(
        "`--top-p`: only the likely part",
        "Only the most probable characters with a total probability of P can be drawn. Within a word that may be one "
        "character, after a space twenty: the number depends on how sure the network is. That is why top-p is often "
        "preferred to top-k. Compare the lowest P with a low temperature.",
        [Variant({"top_p": value}) for value in (0.5, 0.8, 0.95)],
    ),
    Lesson(
        "`--repetition-penalty`: fewer repetitions",
        "Always choosing the most probable character ends in a loop, because the same words before lead to the same words "
        "after. The penalty makes recently drawn characters less probable. It breaks the loop, but it punishes every "
        "frequent character: with characters as tokens, a strong penalty soon harms the spelling.",
        [Variant({"greedy": True} | more) for more in ({}, {"repetition_penalty": 1.2}, {"repetition_penalty": 1.6})],
    ),
    Lesson(
        "`--beam`: the most probable text",
        "A beam search is not random: it searches for the text with the highest total probability. The most probable text "
        "is rarely interesting; it uses safe words and repeats itself. Beam search is better for tasks with one right "
        "answer.",
        [Variant({"beam": value}) for value in (2, 10)],
        writing={"seed": "The ", "length": 120},
    ),
    Lesson(
        "`--random-seed`: other random numbers",
        "Only the random numbers differ here. The texts differ as much as those of two networks may, so never judge a "
        "network by a single text. The same seed gives the same text.",
        [Variant({"random_seed": value}) for value in (1, 2, 3)],
        writing={"seed": "The ", "length": 160, "temp": 0.7},
    ),
)

TRAINING = (
    Lesson(
        "`--epochs`: how often the text is read",
        "First the network learns which characters are frequent, then short words and spaces, then longer words and the "
        "order of words. Both figures fall at first. When the figure of known text still falls but the figure of new text "
        "does not, the network has begun to overfit.",
        [Variant({"epochs": value}) for value in (1, 4, 15)],
        writing=COOL,
        measured=True,
    ),
    Lesson(
        "`--cell`: the kind of recurrent layer",
        "A SimpleRNN overwrites its state at each step. LSTM and GRU have gates, which learn what to keep. After such a "
        "short training the figures also depend on which cell learns fast, and one training each does not prove an order. "
        "Gates help over longer distances: look for quotation marks that are closed again.",
        [Variant({"cell": value}) for value in ("simplernn", "lstm", "gru")],
        writing=COOL,
        measured=True,
    ),
    Lesson(
        "`--hidden-size`: the size of the state",
        "The hidden state is all that the network knows about the text so far. With 8 numbers it holds little more than "
        "the last letters; with more numbers it also holds the word and the kind of sentence. The cost grows with the "
        "square of the size.",
        [Variant({"hidden_size": value}) for value in (8, 32, 128)],
        writing=COOL,
        measured=True,
    ),
    Lesson(
        "`--context-length`: how far back it learns",
        "Training cuts the text into windows, and gradients do not go back beyond the start of a window. With 5 characters "
        "the network learns only which letters follow which; it does not learn how words belong together. (The batch size "
        "is chosen so that a step reads 800 characters in both cases.) When the network writes, the state is carried over "
        "any length, but the network was not trained to use that.",
        [Variant({"context_length": length, "batch_size": 800 // length}) for length in (5, 50)],
        writing=COOL,
        measured=True,
    ),
    Lesson(
        "`--learning-rate`: how large the steps are",
        "If it is too small, 15 epochs are not enough: the text looks like that of a network stopped early. If it is too "
        "large, the steps jump over the minimum. Many values between work; search for the best one.",
        [Variant({"learning_rate": value}) for value in (0.0003, 0.01, 0.2)],
        writing=COOL,
        measured=True,
    ),
    Lesson(
        "`--dropout`: against overfitting",
        "The text is short, and 40 epochs are many. Without dropout the network predicts known text much better than new "
        "text. Dropout sets a random part of the outputs to zero at each step, so that the network cannot rely on any of "
        "them: known text gets harder, new text easier. Compare the difference of the two figures rather than the samples.",
        [Variant({"dropout": value}) for value in (0.0, 0.5)],
        training=BOOK | {"epochs": 40},
        writing=COOL,
        measured=True,
    ),
    Lesson(
        "`--embedding` or `--one-hot`: how characters are represented",
        "An embedding is a learnt table with a vector for each character: characters that are used in the same way get "
        "similar vectors. Vectors of 4 numbers have little room. One-hot inputs make all characters equally different; the "
        "product with the first weights is then such a table, which starts and learns differently. With thousands of words "
        "instead of some 60 characters, training needs an embedding.",
        [Variant({"one_hot": True}), Variant({"embedding": 4}), Variant({}, "`--embedding 64`")],
        writing=COOL,
        measured=True,
    ),
    Lesson(
        "`--stateful`: one window after the other",
        "Usually windows come in random order, and each starts from a zero state. With `--stateful` the text is read in "
        "order and the state is carried from window to window, as when the network writes. The network may then use the "
        "text before the window, although gradients do not go back there. On a short text like this one the effect is "
        "small.",
        [Variant({}, "windows in random order"), Variant({"stateful": True})],
        writing=COOL,
        measured=True,
    ),
    Lesson(
        "`--tokens`: characters, bytes, words, or parts of words",
        "With characters the network must first learn to spell. With words all spelling is right, and the figures are low "
        "early; but most words of a short text occur once or twice, too rarely to learn their use, and a word outside of "
        "the vocabulary cannot be written. BPE is between the two: frequent words are one token, others consist of "
        "several. Characters are stored as bytes; there are 256 of them, and the network must first learn that most never "
        "occur. The figures are per character, so that they are comparable.",
        [
            Variant({"tokens": "char"}),
            Variant({"tokens": "byte"}),
            Variant({"tokens": "word", "length": 60}),
            Variant({"tokens": "bpe", "vocab_size": 400, "length": 120}),
        ],
        writing=COOL,
        measured=True,
    ),
    Lesson(
        "`--per-line` or `--document`: what a document is",
        "With `--per-line` each line of a list is a document with a beginning and an end: the network learns where names "
        "end, and reads each name from a zero state. With `--document` the list is one long text, and a newline is a "
        "character like any other; the first letter of a name then depends on the name before, which helps in a sorted "
        "list.",
        [Variant({"per_line": True, "count": 8}), Variant({"document": True, "length": 56})],
        training=NAMES,
        writing={"random_seed": 1, "temp": 0.8},
    ),
    Lesson(
        "`--label-by` and `--label`: several kinds of text in one network",
        "One network learns both lists; with each name it gets the label of the file. Most of what it learns about "
        "spelling is useful for both labels; the label only changes the probabilities. Compare the endings.",
        [Variant({"label": label}) for label in ("male", "female")],
        training=NAMES | {"files": ("male.txt", "female.txt"), "label_by": "file"},
        writing={"random_seed": 1, "temp": 0.8, "count": 8},
    ),
)

LESSONS = WRITING + TRAINING

OF_SAMPLE = {
    "seed", "temp", "top_k", "top_p", "greedy", "repetition_penalty", "beam", "length", "count", "random_seed", "label",
}  # fmt: skip

INTRODUCTION = """\
# What each option does to the text

`python -m benchmarks options` writes this page: it trains small networks on the shipped texts, varies one option at a time,
and shows the first text of each network, good or bad. Each network was trained for some seconds on a text of 63,000
characters. None of them writes well. Compare the texts of one option with each other.

Unless a section says otherwise, the network is

    {train}

and the texts below are the beginning of the output of

    {sample}

If the networks differ, there are two figures in bits a character; smaller is better. **New** is the validation split,
**known** is the first {known:,} characters of the training text. A network that overfits has a small figure for known text
and a large one for new text.
"""


def flags(options: Options) -> str:
    """Return options as on the command line.

    >>> flags({"hidden_size": 8, "stateful": True, "seed": "The "})
    '--hidden-size 8 --stateful --seed "The "'
    """
    return " ".join(_flag(name, value) for name, value in options.items())


def _flag(name: str, value: object) -> str:
    flag = "--" + name.replace("_", "-")
    if value is True:
        return flag
    return f'{flag} "{value}"' if name == "seed" else f"{flag} {value}"


def split(options: Options) -> tuple[Options, Options]:
    """Return the options of training and those of sampling; a random seed is one of sampling."""
    sampling = {name: value for name, value in options.items() if name in OF_SAMPLE}
    return {name: value for name, value in options.items() if name not in OF_SAMPLE}, sampling


def measure(lessons: Sequence[Lesson] = LESSONS, *, over: Options | None = None) -> list[list[Outcome]]:
    """Train and sample each variant of some lessons; `over` replaces settings; equal networks are trained once."""
    with tempfile.TemporaryDirectory() as folder:

        @cache
        def trained(settings: tuple[tuple[str, Any], ...]) -> chargen.Run:
            given: Any = dict(settings)
            files = given.pop("files")
            print(f"training {' '.join(files)} {flags(given)}", file=sys.stderr)
            return chargen.train(*files, runs_dir=folder, quiet=True, sample_every=0, **given)

        return [[_outcome(lesson, variant, trained, over or {}) for variant in lesson.variants] for lesson in lessons]


def _outcome(lesson: Lesson, variant: Variant, trained: Callable[..., chargen.Run], over: Options) -> Outcome:
    training, sampling = split(variant.options)
    settings = lesson.training | training | over
    run = trained(tuple(sorted(settings.items())))
    asked = lesson.writing | sampling
    model = chargen.load(run.path / "last.safetensors", label=asked.pop("label", None))
    prompt, count = asked.pop("seed", ""), asked.pop("count", 1)
    if "temp" in asked:
        asked["temperature"] = asked.pop("temp")
    text = "\n".join(model.texts(prompt, count=count, **asked))
    return Outcome(text, _figures(model, settings["files"]) if lesson.measured else "")


def _figures(model: chargen.Model, files: Sequence[str]) -> str:
    """Return the bits a character of the validation split and of the beginning of the training text."""
    known = "".join(str(source.text) for source in read_sources(files))[:KNOWN_CHARACTERS]
    new, old = (model.evaluate(text)["stream"]["bits_per_character"] for text in (None, known))
    return f"new {new:.2f}, known {old:.2f}"


def page(outcomes: Sequence[Sequence[Outcome]], lessons: Sequence[Lesson] = LESSONS) -> str:
    """Return the page of some lessons with the outcome of each variant."""
    training = {name: value for name, value in BOOK.items() if name != "files"}
    train = f"chargen train {' '.join(BOOK['files'])} {flags(training)}"
    introduction = INTRODUCTION.format(train=train, sample=f"chargen sample {flags(PROMPT)}", known=KNOWN_CHARACTERS)
    sections = [_section(lesson, row) for lesson, row in zip(lessons, outcomes, strict=True)]
    return "\n".join([introduction, *sections])


def _section(lesson: Lesson, outcomes: Sequence[Outcome]) -> str:
    lines = [f"## {lesson.title}", "", fill(lesson.teaches, WIDTH), ""]
    if note := _differs(lesson):
        lines += [note, ""]
    for variant, outcome in zip(lesson.variants, outcomes, strict=True):
        shown = variant.shown or f"`{flags(variant.options)}`"
        lines += [f"**{shown}**" + f" ({outcome.figures})" * bool(outcome.figures), "", "```text", outcome.text, "```", ""]
    return "\n".join(lines)


def _differs(lesson: Lesson) -> str:
    """Return how a lesson's options differ from those of the introduction."""
    training = {name: value for name, value in lesson.training.items() if BOOK.get(name) != value}
    writing = {name: value for name, value in lesson.writing.items() if PROMPT.get(name) != value}
    said = [f"trained on {' and '.join(training.pop('files'))}"] if "files" in training else []
    said += [f"`{flags(given)}`" for given in (training, writing) if given]
    if lesson.writing is not PROMPT and "seed" not in lesson.writing:
        said.append("without a prompt")
    return f"Here: {', '.join(said)}." if said else ""

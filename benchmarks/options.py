"""What each option does to the text: small networks that differ in one option each, and what they write.

`docs/options.md` is made of the lessons below and of what came out.
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
KNOWN_CHARACTERS = 6000  # of the text that was learnt, which are measured again


class Variant(NamedTuple):
    """One way to say an option. shown: what it is called, the options that are its own unless given."""

    options: Options
    shown: str = ""


class Lesson(NamedTuple):
    """One option. teaches: plain sentences on what to look at and why. training, writing: what all variants share."""

    title: str
    teaches: str
    variants: Sequence[Variant]
    training: Options = BOOK
    writing: Options = PROMPT
    measured: bool = False  # whether the variants differ in training, so that figures tell something

    @property
    def name(self) -> str:
        """The option's flag."""
        return self.title.partition("`")[2].partition("`")[0]


class Outcome(NamedTuple):
    """What a variant wrote, and what it measures."""

    text: str
    figures: str = ""


WRITING = (
    Lesson(
        "`--temp`: how bold the draws are",
        "The network gives each character a probability, and one is drawn. A low temperature makes probable characters "
        "more probable still: nearly all words are right, and the same phrases come again and again. A high one gives the "
        "rare characters a chance: look for words that do not exist. At 1 the draws are what the network believes.",
        [Variant({"temp": value}) for value in (0.2, 0.5, 1.0, 1.5)],
    ),
    Lesson(
        "`--top-k`: only the K best",
        "All but the K most probable characters are left out of each draw. A small K takes away the worst slips, but it "
        "is as strict where a hundred things could follow as where only one can. K = 1 draws nothing: it is greedy.",
        [Variant({"top_k": value}) for value in (1, 3, 10)],
    ),
    Lesson(
        "`--top-p`: only the likely part",
        "The most probable characters are kept until together they hold a share P of the probability. Within a word that "
        "may be one character, after a space twenty: the cut goes with how sure the network is. That is why it is often "
        "liked better than top-k. Compare the lowest P with a low temperature.",
        [Variant({"top_p": value}) for value in (0.5, 0.8, 0.95)],
    ),
    Lesson(
        "`--repetition-penalty`: out of the loop",
        "Always taking the most probable character ends in a loop, since the same words before lead to the same words "
        "after. The penalty makes characters less probable that were drawn of late. It breaks the loop, but it cannot "
        "tell a useful e from a dull one: with characters as tokens, a strong penalty soon harms the spelling.",
        [Variant({"greedy": True} | more) for more in ({}, {"repetition_penalty": 1.2}, {"repetition_penalty": 1.6})],
    ),
    Lesson(
        "`--beam`: the most probable text",
        "A beam search draws nothing: it looks for the text that is the most probable as a whole. What is most probable "
        "is rarely what one wants to read; it is safe and it repeats itself. Searching suits tasks with a right answer "
        "better.",
        [Variant({"beam": value}) for value in (2, 10)],
        writing={"seed": "The ", "length": 120},
    ),
    Lesson(
        "`--random-seed`: other draws",
        "Nothing differs here but the random numbers. The spread is as wide as some differences that one would like to "
        "see between two networks, so never judge one by a single text. The same seed gives the same text.",
        [Variant({"random_seed": value}) for value in (1, 2, 3)],
        writing={"seed": "The ", "length": 160, "temp": 0.7},
    ),
)

TRAINING = (
    Lesson(
        "`--epochs`: how often the text is read",
        "First the network learns which characters are frequent, then short words and where spaces stand, then longer "
        "words and how a sentence goes. Both figures fall at first. When the one of known text falls on and the one of "
        "new text does not, the network has begun to overfit.",
        [Variant({"epochs": value}) for value in (1, 4, 15)],
        writing=COOL,
        measured=True,
    ),
    Lesson(
        "`--cell`: what carries the memory",
        "A SimpleRNN overwrites its state at each step. LSTM and GRU have gates, by which they learn what to keep. After "
        "so short a training the figures also tell which one learns fast, and with one training each their order is no "
        "verdict. Gates show their worth over longer distances: look for quotation marks that are closed again.",
        [Variant({"cell": value}) for value in ("simplernn", "lstm", "gru")],
        writing=COOL,
        measured=True,
    ),
    Lesson(
        "`--hidden-size`: how much fits in",
        "The hidden state is all that the network knows of the text so far. With 8 numbers it holds little more than the "
        "last letters; with more there is room for the word and for what kind of sentence it is. The cost grows with the "
        "square.",
        [Variant({"hidden_size": value}) for value in (8, 32, 128)],
        writing=COOL,
        measured=True,
    ),
    Lesson(
        "`--context-length`: how far back it learns from",
        "Training cuts the text into windows, and no error is traced back further than a window's start. With 5 "
        "characters the network learns letters from letters; what ties words together is out of sight. (The batches are "
        "such that a step reads 800 characters in each case.) When it writes, the state is carried on over any length, "
        "but nothing has taught it to use that.",
        [Variant({"context_length": length, "batch_size": 800 // length}) for length in (5, 50)],
        writing=COOL,
        measured=True,
    ),
    Lesson(
        "`--learning-rate`: how large the steps are",
        "Too small, and 15 epochs are not enough: the text looks like that of a network stopped early. Too large, and the "
        "steps jump over what they are after. In between there is room; the best value is worth a search.",
        [Variant({"learning_rate": value}) for value in (0.0003, 0.01, 0.2)],
        writing=COOL,
        measured=True,
    ),
    Lesson(
        "`--dropout`: against overfitting",
        "The text is short, and 40 epochs are many. Without dropout the network knows its text much better than new text. "
        "Dropout hides part of the outputs at each step, at random, so that the network cannot rely on any of them: known "
        "text gets harder, new text easier. Look at the distance of the two figures, more than at the samples.",
        [Variant({"dropout": value}) for value in (0.0, 0.5)],
        training=BOOK | {"epochs": 40},
        writing=COOL,
        measured=True,
    ),
    Lesson(
        "`--embedding` or `--one-hot`: what a character looks like to the network",
        "An embedding is a table of numbers that is learnt, some for each character: characters that are used alike come "
        "to lie near each other. With 4 numbers they are crowded. One-hot inputs make all characters equally different; "
        "the first product with the weights then is such a table itself, which starts and learns in another way. With "
        "thousands of words instead of some 60 characters an embedding is what makes training possible.",
        [Variant({"one_hot": True}), Variant({"embedding": 4}), Variant({}, "`--embedding 64`")],
        writing=COOL,
        measured=True,
    ),
    Lesson(
        "`--stateful`: one window after the other",
        "Usually windows come in random order, and each begins with an empty memory. With `--stateful` the text is read "
        "in its order and the state is handed on from window to window, as it is when the network writes. The network may "
        "then use what was before the window, though errors are not traced back there. On a text as short as this one do "
        "not expect to see much of it.",
        [Variant({}, "windows in random order"), Variant({"stateful": True})],
        writing=COOL,
        measured=True,
    ),
    Lesson(
        "`--tokens`: letters, bytes, words, or pieces of words",
        "With characters the network has to learn to spell first. A word is spelt right as soon as it is known, and "
        "figures are low early; but most words of a short text come once or twice, too rarely to learn what they are for, "
        "and one that is not in the list cannot be written. BPE stands between: frequent words are one token, others are "
        "put together. Bytes are what characters are made of; 256 of them can be written, and the network has to learn "
        "first that most never come. The figures are per character, so that they compare.",
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
        "`--per-line` or `--document`: what a text is",
        "With `--per-line` each line of a list is a text with a beginning and an end: the network learns where names end, "
        "and each name is read from a zero state. With `--document` the list is one long text, and a newline is a character "
        "like any other; the first letter of a name then depends on the name before, which helps in a sorted list.",
        [Variant({"per_line": True, "count": 8}), Variant({"document": True, "length": 56})],
        training=NAMES,
        writing={"random_seed": 1, "temp": 0.8},
    ),
    Lesson(
        "`--label-by` and `--label`: several kinds of text in one network",
        "Both lists are learnt by one network, which is told with each name from which file it is. Most of what it knows "
        "of spelling serves both; the label tips the balance. Look at the endings.",
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

This page is written by `python -m benchmarks options`: it trains small networks on the shipped texts, varies one option at a
time, and puts down what they wrote, good or bad, the first try of each. Each network has learnt for some seconds, from a text
of 63,000 characters. None of them writes well. What counts is the difference between one and the next.

Unless a section says otherwise, the network is

    {train}

and the text below is the beginning of what its last weights write by

    {sample}

Where networks differ, two figures stand beside the text, in bits a character; less is better. **New** is the part of the
text that was held out of training, **known** are the first {known:,} characters of the other part. A network that
overfits has a small figure for known text and a large one for new text.
"""


def flags(options: Options) -> str:
    """Return options as the command line has them.

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
    """Return the options of training and those of sampling; the latter's random seed is meant where both have one."""
    sampling = {name: value for name, value in options.items() if name in OF_SAMPLE}
    return {name: value for name, value in options.items() if name not in OF_SAMPLE}, sampling


def measure(lessons: Sequence[Lesson] = LESSONS, *, over: Options | None = None) -> list[list[Outcome]]:
    """Train and write each variant of some lessons; `over` replaces settings of all networks. Equal ones are trained once."""
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
    """Return the bits a character of what was held out and of the beginning of what was learnt."""
    known = "".join(str(source.text) for source in read_sources(files))[:KNOWN_CHARACTERS]
    new, old = (model.evaluate(text)["stream"]["bits_per_character"] for text in (None, known))
    return f"new {new:.2f}, known {old:.2f}"


def page(outcomes: Sequence[Sequence[Outcome]], lessons: Sequence[Lesson] = LESSONS) -> str:
    """Return the page of some lessons and what came out of each variant."""
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
    """Say in what a lesson's networks and draws differ from those of the introduction."""
    training = {name: value for name, value in lesson.training.items() if BOOK.get(name) != value}
    writing = {name: value for name, value in lesson.writing.items() if PROMPT.get(name) != value}
    said = [f"trained on {' and '.join(training.pop('files'))}"] if "files" in training else []
    said += [f"`{flags(given)}`" for given in (training, writing) if given]
    if lesson.writing is not PROMPT and "seed" not in lesson.writing:
        said.append("without a prompt")
    return f"Here: {', '.join(said)}." if said else ""

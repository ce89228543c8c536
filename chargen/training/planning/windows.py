"""Choose how to cut a text into windows, and raise an error for windows without a target."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from chargen.corpus.corpus import Corpus
from chargen.corpus.windows import BatchPlan, SlidingWindows, TokenStream
from chargen.errors import ConfigError, CorpusError
from chargen.settings.schema import Settings
from chargen.training.planning.machine import LARGEST_BATCH

MANY, FEW, FAR = 10, 0.02, 4  # from 10 entries on, leave out up to 2 % of them that are 4 times as long as the others
LONGEST_LINE_WINDOW = 200  # tokens; a longer line is cut into several windows
LONGEST_DENSE_WINDOW = 64  # tokens, each of which has its own layers in the graph
SHORTEST_CONTEXT = 10  # tokens, if the text is long enough
CLASSIC_CONTEXT = 40  # tokens, with targets "last"
FEWEST_STEPS = 3000  # of the optimizer in a training; a short text gets smaller batches to reach them
FEWEST_STEPS_OF_A_PASS = 4  # of any text
# Context lengths, each with the number of tokens in a step from which it is chosen.
CONTEXT_LENGTHS = ((128, 1024), (64, 512), (32, 0))
SMALLEST_BATCH_OF_ONE_TARGET, LARGEST_BATCH_OF_ONE_TARGET = 8, 128  # where a window has one target


class WindowSizes(NamedTuple):
    """Tokens in a window, tokens between the starts of two windows, windows in a batch."""

    context_length: int
    stride: int
    batch_size: int


class TextParts(NamedTuple):
    """The tokens of a corpus. training: one stream for each text of a mix. validation: the held-out text, if there is any."""

    training: Sequence[TokenStream]
    validation: TokenStream | None

    @property
    def all(self) -> tuple[TokenStream, ...]:
        """The streams of both parts."""
        return (*self.training, *([self.validation] if self.validation else []))

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Tokens of each document."""
        return np.concatenate([np.diff(stream.starts) - 1 for stream in self.all])

    @property
    def shortest(self) -> int:
        """Tokens that follow another one in the smallest part."""
        return min(stream.span for stream in self.all)


def choose_windows(
    settings: Settings, corpus: Corpus, parts: TextParts, passes: float, *, largest: int = LARGEST_BATCH
) -> WindowSizes:
    """Return the window sizes in the settings; choose the others for a number of passes over the text.

    Lines and short rows: one window each, or one for every token with targets "last". Documents: windows side by side, or the
    classic 40 tokens every 3 with targets "last". Windows of labelled documents overlap by the token whose place the label
    takes. Batches and windows are small enough for `FEWEST_STEPS` optimizer steps in the training. A batch has at most
    `largest` lines, or half as many windows of documents, which learn more from smaller batches.
    """
    training, last = settings.training, settings.network.targets == "last"
    lines, one_target = corpus.is_list, last and not training.stateful
    context_length = training.context_length or _context_length(settings, parts, passes, lines=lines)
    if one_target:
        stride = 1 if lines else 3
    else:
        stride = max(1, context_length - 1) if corpus.labels and not training.stateful else context_length
    stride = training.stride or stride
    windows = _count_windows(parts.training, context_length, stride, one_target=one_target)
    most, fewest = largest if lines else largest // 2, 1
    if one_target:
        most, fewest = LARGEST_BATCH_OF_ONE_TARGET, SMALLEST_BATCH_OF_ONE_TARGET
    batch_size = max(fewest, min(passes * windows / FEWEST_STEPS, most))
    if training.stateful and last:
        batch_size = min(batch_size, largest_batch(parts.shortest, context_length))
    return WindowSizes(context_length, stride, training.batch_size or power_of_two(batch_size))


def power_of_two(number: float) -> int:
    """Return the largest power of two that is not above a number."""
    return 2 ** int(math.log2(number))


def estimate_steps(settings: Settings, positions: float, passes: float, *, line: float | None, largest: int) -> float:
    """Return about how many optimizer steps a training takes that reads so many positions `passes` times.

    line: the positions of a line, None for documents. largest: as `choose_windows` takes it.
    """
    training = settings.training
    context_length = training.context_length or line or _usual_context(passes * positions)
    most = largest if line else largest // 2
    batch_size = training.batch_size or power_of_two(max(1, min(passes * positions / context_length / FEWEST_STEPS, most)))
    return passes * positions / (context_length * batch_size)


def _usual_context(positions: float) -> int:
    """Return the context length of documents for a training that reads so many positions."""
    return next(length for length, fewest in CONTEXT_LENGTHS if positions / FEWEST_STEPS >= fewest)


def _context_length(settings: Settings, parts: TextParts, passes: float, *, lines: bool) -> int:
    """Return a context length: that of a line, the classic 40 tokens, or one that gives enough steps."""
    if lines:
        return min(usual_length(parts.lengths) + 1, LONGEST_LINE_WINDOW)
    training, positions = settings.training, sum(stream.num_targets for stream in parts.training)
    if settings.network.targets == "last":
        context_length = CLASSIC_CONTEXT
        if training.stateful:
            context_length = min(context_length, longest_context(parts.shortest, training.batch_size or 1))
    else:
        context_length = min(_usual_context(passes * positions), max(positions // FEWEST_STEPS_OF_A_PASS, SHORTEST_CONTEXT))
        if settings.network.cell == "dense":
            context_length = min(context_length, LONGEST_DENSE_WINDOW)
    return max(1, min(context_length, min(stream.longest for stream in parts.training) - 1))


def _count_windows(streams: Sequence[TokenStream], context_length: int, stride: int, *, one_target: bool) -> int:
    return sum(
        SlidingWindows(stream, context_length=context_length, stride=stride, batch_size=1, last=one_target, seed=0).num_windows
        for stream in streams
    )


def usual_length(lengths: npt.ArrayLike) -> int:
    """Return the greatest length of entries, without a few that are far longer than all others.

    A heading above a list of names, or a note beside it, does not make every window as long as itself.

    >>> usual_length([5, 7, 6, 8, 4, 7, 6, 5, 4, 8, 58]), usual_length([5, 7, 6, 8, 12])
    (8, 12)
    """
    ordered = np.sort(lengths)
    usual = int(ordered[-1 - math.ceil(FEW * len(ordered))]) if len(ordered) >= MANY else int(ordered[-1])
    longest = int(ordered[-1])
    return longest if longest <= FAR * usual else usual


def longest_context(span: int, batch_size: int) -> int:
    """Return the number of tokens in the first stream if a text is cut into `batch_size` streams."""
    return max(1, -(-span // batch_size))


def largest_batch(span: int, context_length: int) -> int:
    """Return the largest number of streams, at least 1, whose first one fills a window."""
    return span if context_length == 1 else max(1, (span - 1) // (context_length - 1))


def check_length(corpus: Corpus, parts: TextParts, context_length: int) -> None:
    """Raise CorpusError for a text that is shorter than a window and the token after it; lines and rows are padded instead.

    In a mix, only one text needs to be long enough: the others may be lists, whose windows are padded.
    """
    if not all(stream.num_targets for stream in parts.training):
        raise CorpusError(
            f"{corpus.name} leaves no text to train on: all of it, or all of one text of a mix, is held out for validation",
            hint="give more text, or --validation-split 0",
        )
    longest = max(stream.longest for stream in parts.training)
    if corpus.reading == "line" or corpus.entries or longest > context_length:
        return
    raise CorpusError(
        f"{corpus.name} leaves {longest} tokens in a row to train on, one window needs {context_length + 1}",
        hint=f"give more text, or --context-length {longest - 1}" if longest > 1 else "give more text",
    )


def check_targets(part: str, batches: BatchPlan, stream: TokenStream) -> None:
    """Raise ConfigError if the streams of a part of the text are shorter than a window, so that no token is predicted."""
    if batches.num_targets:
        return
    context_length, batch_size = batches.context_length, batches.batch_size
    fitting = [f"--context-length {longest_context(stream.span, batch_size)}"]
    batch = largest_batch(stream.span, context_length)
    if longest_context(stream.span, batch) >= context_length:
        fitting.append(f"--batch-size {batch}")
    if part == "validation":
        fitting.append("--validation-split 0")
    raise ConfigError(
        f"the {part} part has {stream.span:,} tokens: {batch_size:,} streams of "
        f"{longest_context(stream.span, batch_size):,} tokens, and with training.stateful and targets = last "
        f"each needs {context_length:,}, the context length",
        hint=f"give {' or '.join(fitting)}",
    )

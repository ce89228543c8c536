"""Choose how a text is cut into windows, and refuse windows that leave nothing to predict."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from chargen.config import Settings
from chargen.corpus.documents import Corpus
from chargen.corpus.windows import BatchPlan, TokenStream
from chargen.errors import ConfigError, CorpusError

MANY, FEW, FAR = 10, 0.02, 4  # entries; share of them that may be left out; how many times as long as the others they are
LONGEST_LINE_WINDOW = 200  # tokens; a longer line is cut into several windows


class WindowSizes(NamedTuple):
    """How the text is cut: tokens in a window, tokens from one window's start to the next, windows in a batch."""

    context_length: int
    stride: int
    batch_size: int


class TextParts(NamedTuple):
    """The tokens of a corpus. training: one stream for each text of a mix. validation: what is held out, if anything is."""

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
    def shortest_stream(self) -> int:
        """Tokens that follow another one in the smallest part."""
        return min(stream.span for stream in self.all)


def choose_windows(settings: Settings, corpus: Corpus, parts: TextParts) -> WindowSizes:
    """Return the window sizes that the settings give, and for those left open what suits the corpus.

    Lines and short rows: one window each, or one for every token with targets "last". Documents: windows side by side, or the
    classic 40 tokens every 3 with targets "last". Windows of labelled documents overlap by the token whose place the label
    takes. No window is longer than the text, and streams with targets "last" are long enough for a window each.
    """
    training, last = settings.training, settings.network.targets == "last"
    if corpus.is_list:
        context_length = training.context_length or min(usual_length(parts.lengths) + 1, LONGEST_LINE_WINDOW)
        stride, batch_size = (1, 128) if last else (context_length, 32)
    else:
        longest = min(stream.longest for stream in parts.training) - 1
        context_length = training.context_length or max(1, min(40 if last else 64, longest))
        stride, batch_size = (3, 128) if last and not training.stateful else (context_length, 64)
    if training.stateful and last:
        shortest = parts.shortest_stream
        if not training.context_length:
            stride = context_length = min(context_length, longest_context(shortest, training.batch_size or 1))
        batch_size = min(batch_size, largest_batch(shortest, context_length))
    if corpus.labels and not last and not training.stateful:
        stride = max(1, context_length - 1)
    return WindowSizes(context_length, training.stride or stride, training.batch_size or batch_size)


def usual_length(lengths: npt.ArrayLike) -> int:
    """Return the greatest of some lengths of entries, those left out that are far longer than nearly all others.

    A heading above a list of names, or a note beside it, does not make every window as long as itself.

    >>> usual_length([5, 7, 6, 8, 4, 7, 6, 5, 4, 8, 58]), usual_length([5, 7, 6, 8, 12])
    (8, 12)
    """
    ordered = np.sort(lengths)
    usual = int(ordered[-1 - math.ceil(FEW * len(ordered))]) if len(ordered) >= MANY else int(ordered[-1])
    longest = int(ordered[-1])
    return longest if longest <= FAR * usual else usual


def longest_context(span: int, batch_size: int) -> int:
    """Return the largest number of tokens that the first of some streams of a text holds."""
    return max(1, -(-span // batch_size))


def largest_batch(span: int, context_length: int) -> int:
    """Return into how many streams a text can be cut so that the first of them fills a window, at least 1."""
    return span if context_length == 1 else max(1, (span - 1) // (context_length - 1))


def check_length(corpus: Corpus, parts: TextParts, context_length: int) -> None:
    """Refuse a text that does not fill one window and the token after it; lines and rows are filled up instead."""
    if not all(stream.num_targets for stream in parts.training):
        raise CorpusError(
            f"{corpus.name} leaves no text to train on: all of it, or all of one text of a mix, is held out for validation",
            hint="give more text, or --validation-split 0",
        )
    longest = min(stream.longest for stream in parts.training)
    if corpus.reading == "line" or corpus.entries or longest > context_length:
        return
    raise CorpusError(
        f"{corpus.name} leaves {longest} tokens in a row to train on, one window needs {context_length + 1}",
        hint=f"give more text, or --context-length {longest - 1}" if longest > 1 else "give more text",
    )


def check_targets(part: str, batches: BatchPlan, stream: TokenStream) -> None:
    """Raise ConfigError where the streams of a part of the text are shorter than a window, so that none has a target."""
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

"""Add an n-gram memory to the models of a run that has been trained."""

import dataclasses
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from chargen.corpus.vocabulary import BOUNDARY
from chargen.corpus.windows import TokenStream
from chargen.memory.building import WEIGHT, build_grams, choose_factor, choose_weight, known_lines, mixed
from chargen.memory.lines import MORE, ONCE, KnownLines
from chargen.memory.ngrams import Contexts, Doubles, NgramMemory
from chargen.network.model_file import TextModel, load_model, save_model
from chargen.runs.directory import RunDirectory
from chargen.training.planning.text_plan import TextPlan
from chargen.training.planning.validation import part_of
from chargen.writing.reading import expectations
from chargen.writing.sampling import softmax

MOST_MEASURED = 50_000  # held-out tokens by which the weight is chosen
MOST_PROBABILITIES = 1 << 25  # of all tokens after these; fewer tokens are measured where a vocabulary is large


class Chosen(NamedTuple):
    """A memory, None if it does not help.

    more, saved: nats a token by which held-out text costs more under the n-grams alone than under the network alone, and less
    under both; None where nothing is held out. saved_by_lines: what it costs less if the memory also knows the text's lines.
    """

    memory: NgramMemory | None
    more: float | None = None
    saved: float | None = None
    saved_by_lines: float = 0.0


class Measured(NamedTuple):
    """The probabilities of N held-out tokens, and of the end of a line in place of each, under the network and the n-grams.

    overlap: the sum over all tokens of the square root of the product of both. ends: whether the token is the end of a line.
    """

    contexts: Contexts
    network: Doubles
    grams: Doubles
    network_end: Doubles
    grams_end: Doubles
    overlap: Doubles
    ends: npt.NDArray[np.bool_]


def add_memory_to_run(plan: TextPlan, run: RunDirectory, bits_per_character: float) -> str:
    """Add an n-gram memory of the training text to the models of a run, and return a line about it.

    bits_per_character: the figure of the best model without it. Raises OSError.
    """
    model, line = add_memory(plan, load_model(run.model), bits_per_character)
    if model.memory:
        for path in (run.model, run.last_model):
            save_model(path, dataclasses.replace(load_model(path), memory=model.memory))
    return line


def add_memory(plan: TextPlan, model: TextModel, bits_per_character: float | None) -> tuple[TextModel, str]:
    """Return a model with an n-gram memory of the training text, if that improves it, and a line about it.

    bits_per_character: the model's figure without it; None if nothing is held out.
    """
    chosen = _choose(plan, model)
    if chosen.memory is None:
        return model, "no n-gram memory: it does not improve this network (--no-memory skips it)"
    return dataclasses.replace(model, memory=chosen.memory), _describe(plan, chosen.memory, chosen, bits_per_character)


def _describe(plan: TextPlan, memory: NgramMemory, chosen: Chosen, bits_per_character: float | None) -> str:
    """Return a line about a memory: its size and what it gains."""
    size = f"n-gram memory: {memory.nowhere:,} n-grams of up to {memory.order} tokens, {memory.num_bytes / 1000:,.0f} kB"
    _, more, saved, saved_by_lines = chosen
    if more is None or saved is None or bits_per_character is None:
        return f"{size}; weight {memory.weight:g} (--no-memory leaves it out)"
    alone, both, with_lines = (
        bits_per_character + plan.conversion.bits_per_character(nats) - plan.conversion.bits_per_character(0)
        for nats in (more, -saved, -saved - saved_by_lines)
    )
    line = (
        f"{size}; held-out text has {bits_per_character:.3f} bits a character under the network, {alone:.3f} under the memory "
        f"and {both:.3f} under both, at weight {memory.weight:g}"
    )
    if memory.lines:
        once, more_often = memory.lines.factors
        count = f"{len(memory.lines.keys):,}"
        line += f"; {with_lines:.3f} if the {count} lines of the training text are repeated {once:.2g} times as often"
        line += f" ({more_often:.2g} times where they occur more than once)" if (memory.lines.keys & 1 == MORE).any() else ""
    return f"{line} (--no-memory leaves it out)"


def _choose(plan: TextPlan, model: TextModel) -> Chosen:
    """Build the memory of the training text, with the weight for which the held-out text costs least."""
    vocabulary = plan.vocabulary
    memory = NgramMemory(
        build_grams(plan.parts.training, len(vocabulary)),
        vocab_size=len(vocabulary),
        first_label=len(vocabulary) - len(vocabulary.labels),
        weight=WEIGHT,
    )
    held_out = plan.parts.validation
    if held_out is None:
        return Chosen(memory)
    measured = part_of(held_out, min(MOST_MEASURED, MOST_PROBABILITIES // len(vocabulary)))
    lines = _lines(plan) if model.reading == "line" else None
    found = _measure(model, memory.with_lines(lines), measured)
    more = float(np.log(found.network).mean() - np.log(found.grams).mean())
    weight, saved = choose_weight(found.network, found.grams, found.overlap)
    memory, saved_by_lines = memory.weighted(weight), 0.0
    if lines:
        factors, saved_by_lines = _choose_factors(found, lines.find(found.contexts[:, memory.order]), weight)
        memory = memory.with_lines(KnownLines(lines.keys, factors) if saved_by_lines > 0 else None)
    return Chosen(memory if saved + saved_by_lines > 0 else None, more, saved, saved_by_lines)


def _lines(plan: TextPlan) -> KnownLines | None:
    """Return the lines of the training text, with factors that change nothing; None if there are none that end."""
    keys = known_lines(plan.parts.training)
    return KnownLines(keys, (1.0, 1.0)) if len(keys) else None


def _choose_factors(found: Measured, kinds: npt.NDArray[np.int64], weight: float) -> tuple[tuple[float, ...], float]:
    """Return the factors of known lines, see `KnownLines`, and the nats a token that they save.

    kinds: of the line before each token, as `KnownLines.find` returns them.
    """
    ends = mixed(found.network_end, found.grams_end, found.overlap, weight)
    chosen = [choose_factor(ends[kinds == kind], int(found.ends[kinds == kind].sum())) for kind in (ONCE, MORE)]
    return tuple(factor for factor, _ in chosen), sum(saved for _, saved in chosen) / len(ends)


def _measure(model: TextModel, memory: NgramMemory, stream: TokenStream) -> Measured:
    """Predict the tokens of a stream with the network and with the memory."""
    alone = dataclasses.replace(model, memory=None)
    ids = np.asarray(stream.ids[: stream.span])[None]
    contexts: Contexts = memory.read(ids, memory.start(1))[0]
    some = []
    for one in expectations(alone, stream):
        before = contexts[one.places]
        network, grams = softmax(one.logits), memory.probabilities(before)
        wanted = np.arange(len(one.targets)), one.targets
        overlap, ends = np.sqrt(network * grams).sum(axis=1), one.targets == BOUNDARY
        some.append((before, network[wanted], grams[wanted], network[:, BOUNDARY], grams[:, BOUNDARY], overlap, ends))
    return Measured(*map(np.concatenate, zip(*some, strict=True)))

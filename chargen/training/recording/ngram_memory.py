"""Add an n-gram memory to the models of a run that has been trained."""

import dataclasses
from typing import NamedTuple

import numpy as np

from chargen.corpus.windows import TokenStream
from chargen.memory.building import WEIGHT, build_grams, choose_weight
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

    more, saved: nats a token by which held-out text costs more under the memory alone than under the network alone, and less
    under both; None where nothing is held out.
    """

    memory: NgramMemory | None
    more: float | None = None
    saved: float | None = None


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
    _, more, saved = chosen
    if more is None or saved is None or bits_per_character is None:
        return f"{size}; weight {memory.weight:g} (--no-memory leaves it out)"
    alone, both = (
        bits_per_character + plan.conversion.bits_per_character(nats) - plan.conversion.bits_per_character(0)
        for nats in (more, -saved)
    )
    return (
        f"{size}; held-out text has {bits_per_character:.3f} bits a character under the network, {alone:.3f} under the memory "
        f"and {both:.3f} under both, at weight {memory.weight:g} (--no-memory leaves it out)"
    )


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
    network, grams, overlap = _predicted(model, memory, measured)
    weight, saved = choose_weight(network, grams, overlap)
    more = float(np.log(network).mean() - np.log(grams).mean())
    return Chosen(memory.weighted(weight) if weight else None, more, saved)


def _predicted(model: TextModel, memory: NgramMemory, stream: TokenStream) -> tuple[Doubles, ...]:
    """Return the probabilities of a stream's tokens under the network and the memory, and the overlap of both, (N,) each."""
    alone = dataclasses.replace(model, memory=None)
    ids = np.asarray(stream.ids[: stream.span])[None]
    contexts: Contexts = memory.read(ids, memory.start(1))[0]
    some = []
    for one in expectations(alone, stream):
        network, grams = softmax(one.logits), memory.probabilities(contexts[one.places])
        wanted = np.arange(len(one.targets)), one.targets
        some.append((network[wanted], grams[wanted], np.sqrt(network * grams).sum(axis=1)))
    return tuple(map(np.concatenate, zip(*some, strict=True)))

"""Combine several models into one that holds all their networks, whose probabilities are averaged."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from chargen.errors import ConfigError
from chargen.network.average import NetworkAverage
from chargen.network.description import MOST_MEMBERS
from chargen.network.model_file import TextModel
from chargen.writing.ensemble import check_vocabularies

OF_THE_TEXT = ("corpus", "sha256", "characters")  # the provenance that members share
Named = tuple[str, TextModel]


def combine(models: Sequence[Named]) -> TextModel:
    """Return the model of all networks of some named models, with the n-gram memory of the first that has one.

    Raises ConfigError, naming two models and the difference, for vocabularies or ways of reading that differ, and for too many
    networks.
    """
    for other in models[1:]:
        _check_pair(models[0], other)
    networks = [network for _, model in models for network in model.network.members]
    if not 2 <= len(networks) <= MOST_MEMBERS:
        raise ConfigError(f"got {len(networks)} networks, a model holds 2 to {MOST_MEMBERS}", hint="give other runs")
    longest = max((model for _, model in models), key=lambda model: model.context_length)
    memory = next((model.memory for _, model in models if model.memory), None)
    return dataclasses.replace(longest, network=NetworkAverage(networks), memory=memory, provenance=_provenance(models))


def _check_pair(first: Named, second: Named) -> None:
    """Raise ConfigError for two models that cannot be in one file."""
    (name, one), (other_name, other) = first, second
    check_vocabularies(name, one.vocabulary, other_name, other.vocabulary)
    if one.vocabulary != other.vocabulary:
        raise ConfigError(f"{name} and {other_name} number their tokens differently", hint="combine models of one text")
    named = ["reading", "ends", "carried", *([] if one.carried else ["context_length"])]
    for field in named:
        found, found_there = getattr(one, field), getattr(other, field)
        if found != found_there:
            what = field.replace("_", " ")
            raise ConfigError(
                f"{name} and {other_name} read differently: {what} is {found} and {found_there}",
                hint="combine models that were trained alike",
            )


def _provenance(models: Sequence[Named]) -> dict[str, Any]:
    """Return where each network comes from, what the texts have in common, and the epochs of all networks."""
    members = [known for named in models for known in _members(*named)]
    known = {
        name: members[0][name]
        for name in OF_THE_TEXT
        if name in members[0] and all(one.get(name) == members[0][name] for one in members)
    }
    epochs = [one.get("epochs") for one in members]
    if all(type(one) is int for one in epochs):
        known["epochs"] = sum(epochs)
    return {**known, "members": members}


def _members(name: str, model: TextModel) -> list[Mapping[str, Any]]:
    """Return the provenance of each network of a model."""
    known = model.provenance.get("members")
    count = len(model.network.members)
    if count == 1:
        return [{"run": name, **model.provenance}]
    return list(known) if isinstance(known, list) and len(known) == count else [{"run": name}] * count

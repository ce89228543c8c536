"""Average the predictions of several models."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from chargen.corpus.vocabulary import BOUNDARY, Vocabulary
from chargen.errors import ConfigError
from chargen.network.average import average_logits
from chargen.network.model_file import TextModel, load_model
from chargen.writing.sampling import Logits

AVERAGE, TURNS = "average", "turns"


@dataclass(frozen=True, kw_only=True)
class Ensemble:
    """Combine models of one vocabulary: average their probabilities, or let them take turns, one a token.

    The ids are those of the first model; other orders of the same tokens are translated.
    """

    members: tuple[TextModel, ...]
    how: str = AVERAGE

    @property
    def vocabulary(self) -> Vocabulary:
        """The first model's."""
        return self.members[0].vocabulary

    @property
    def reading(self) -> str:
        """The first model's."""
        return self.members[0].reading

    @property
    def ends(self) -> bool:
        """Whether the models end a text by themselves; all do, or none."""
        return self.members[0].ends

    @property
    def start_id(self) -> int:
        """The first model's."""
        return self.members[0].start_id

    @property
    def drift(self) -> float:
        """The largest drift of the models."""
        return max(one.drift for one in self.members)

    @property
    def has_memory(self) -> bool:
        """Whether an n-gram memory is mixed with the network of any model."""
        return any(one.has_memory for one in self.members)

    @property
    def carried(self) -> bool:
        """Whether every model carries its state from token to token."""
        return all(one.carried for one in self.members)

    def with_carry(self, carry: bool | None) -> "Ensemble":
        """Return the ensemble with the state of each model carried or not; None keeps each as in training."""
        return replace(self, members=tuple(one.with_carry(carry) for one in self.members))

    def with_memory(self, weight: float | None) -> "Ensemble":
        """Return the ensemble with another weight of each member's n-gram memory; None keeps those of their training."""
        return replace(self, members=tuple(one.with_memory(weight) for one in self.members))

    def mix(self, logits: Sequence[Logits], position: int) -> Logits:
        """Combine the logits of the members, each (B, V), into one array. position: the number of tokens drawn before."""
        return average_logits(logits) if self.how == AVERAGE else logits[position % len(logits)]


AnyModel = TextModel | Ensemble


def load_models(
    paths: Sequence[Path],
    how: str = AVERAGE,
    *,
    label: str | None = None,
    carry: bool | None = None,
    memory: float | None = None,
) -> AnyModel:
    """Load a model file, or several as an ensemble, set to write documents of a label.

    carry: whether the state is carried; None for as in training. memory: the weight of the n-gram memory; None for that of
    training. Raises ModelFileError, what `join_models` and `with_memory` raise, and ConfigError if models of labelled documents
    are given no label.
    """
    named = [(str(path), load_model(path).with_carry(carry).with_memory(memory)) for path in paths]
    return join_models([(name, labelled(name, model, label)) for name, model in named], how)


def labelled(name: str, model: TextModel, label: str | None) -> TextModel:
    """Return a model set to write documents of a label; None for models without labels.

    Raises UnknownTokenError for an unknown label, and ConfigError for a missing one.
    """
    if label is not None:
        return model.with_label(label)
    if model.vocabulary.labels:
        known = ", ".join(model.vocabulary.labels)
        raise ConfigError(f"{name} needs a label", hint=f"choose --label from {known}")
    return model


def join_models(models: Sequence[tuple[str, TextModel]], how: str = AVERAGE) -> AnyModel:
    """Return the ensemble of some named models, or the model itself if there is one.

    Raises ConfigError, naming the models and the difference, for vocabularies with different tokens, and for models of lines
    together with models of documents.
    """
    (first_name, first), *others = models
    if not others:
        return first
    for name, other in others:
        check_vocabularies(first_name, first.vocabulary, name, other.vocabulary)
        if other.ends != first.ends:
            liner, writer = (name, first_name) if other.ends else (first_name, name)
            raise ConfigError(
                f"{liner} writes lines that end by themselves, {writer} does not", hint="combine models of one kind of text"
            )
    return Ensemble(members=tuple(model for _, model in models), how=how)


def check_vocabularies(name: str, tokens: Vocabulary, other_name: str, other_tokens: Vocabulary) -> None:
    """Raise ConfigError, naming two models and the difference, for vocabularies with different tokens."""
    if tokens == other_tokens:
        return
    if tokens.kind != other_tokens.kind:
        raise ConfigError(
            f"{name} writes {tokens.kind} tokens, {other_name} {other_tokens.kind} tokens",
            hint="combine models of the same --tokens",
        )
    if tokens.labels != other_tokens.labels:
        raise ConfigError(f"{name} and {other_name} know different labels", hint="combine models of the same corpus")
    only, only_other = set(tokens) - set(other_tokens), set(other_tokens) - set(tokens)
    told = [f"only {who} knows {_listed(which)}" for who, which in ((name, only), (other_name, only_other)) if which]
    if told:
        raise ConfigError(
            f"the models have different vocabularies: {', '.join(told)}", hint="combine models trained on the same characters"
        )


def _listed(tokens: set[str], most: int = 5) -> str:
    shown = ", ".join(map(repr, sorted(tokens)[:most]))
    return f"{shown} and {len(tokens) - most} more" if len(tokens) > most else shown


def translation(vocabulary: Vocabulary, other: Vocabulary) -> npt.NDArray[np.intp] | None:
    """Return the id in another vocabulary, with the same tokens, of each id, (V,); None if all ids are equal."""
    if vocabulary == other:
        return None
    ids = {token: number for number, token in enumerate(other, start=BOUNDARY + 1)}
    labels = range(len(vocabulary) - len(vocabulary.labels), len(vocabulary))  # the last ids of both
    return np.array([BOUNDARY, *[ids[token] for token in vocabulary], *labels])

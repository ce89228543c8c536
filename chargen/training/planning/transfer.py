"""Start from another run's weights: copy what fits, token by token."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chargen.corpus.vocabulary import BOUNDARY, Vocabulary
from chargen.errors import ConfigError
from chargen.network.cells import Floats, cell_type
from chargen.network.model_file import TextModel, load_model
from chargen.network.network import weight_shapes
from chargen.runs.directory import RunDirectory, find_model
from chargen.settings.layers import former_values, read_run_config
from chargen.settings.schema import Mapped, NetworkConfig

TOKENS_SHOWN = 10


@dataclass(frozen=True)
class Start:
    """The model whose weights training starts from, and its name as the user gave it.

    corpus: settings of its run that decide what is held out: otherwise validation could measure text that the model has seen.
    """

    name: str
    model: TextModel
    corpus: Mapping[str, Any] = field(default_factory=dict)

    @property
    def layer(self) -> tuple[str, Mapped]:
        """The settings of the weights, as a layer below those of the user."""
        tokens = {"character": "char"}.get(self.model.vocabulary.kind, self.model.vocabulary.kind)
        return self.name, {
            "network": dataclasses.asdict(self.model.one_network.config),
            "corpus": {"tokens": tokens, **self.corpus},
        }


def find_start(layers: Sequence[tuple[str, Mapping[str, Any]]], runs_dir: Path) -> Start | None:
    """Return the start that the last layer with training.start_from names, or None. Raises what loading a model raises."""
    named = [sections["training"]["start_from"] for _, sections in layers if "start_from" in sections.get("training", {})]
    if not named:
        return None
    path = find_model(str(named[-1]), runs_dir)
    model = load_model(path)
    if len(model.network.members) > 1:
        raise ConfigError(f"{path} holds several networks, --from starts from one", hint="give the run of one of them")
    return Start(str(named[-1]), model, _held_out_by(RunDirectory(path.parent)))


def _held_out_by(run: RunDirectory) -> Mapping[str, Any]:
    """Return the settings of a run, if it has a config, whose defaults held out other text in older versions."""
    if not run.config.is_file():
        return {}
    recorded, names = read_run_config(run.config)[1]["corpus"], (name.split(".") for name in former_values())
    return {key: recorded[key] for section, key in names if section == "corpus"}


def check_fits(start: Start, network: NetworkConfig) -> None:
    """Raise ConfigError if the weights do not fit the network."""
    theirs = start.model.one_network.config
    shapes, wanted = (weight_shapes(config, vocab_size=2) for config in (theirs, network))
    if shapes == wanted and cell_type(theirs) is cell_type(network):
        return
    different = [one.name for one in dataclasses.fields(network) if getattr(theirs, one.name) != getattr(network, one.name)]
    names = ", ".join(f"{name} {getattr(theirs, name)} (asked for {getattr(network, name)})" for name in different)
    raise ConfigError(f"the weights of {start.name} do not fit the settings: they have {names}", hint="leave them out")


def transferred(fresh: Mapping[str, Floats], start: Start, vocabulary: Vocabulary) -> dict[str, Floats]:
    """Return the weights of the run, and initial weights for tokens that it does not know.

    `fresh` are the initial weights of the network over `vocabulary`; they are not changed.
    """
    ours, theirs = _matched_ids(vocabulary, start.model.vocabulary)
    weights = {}
    for name, weight in fresh.items():
        source = start.model.one_network.weights[name]
        if source.shape == weight.shape and len(ours) == len(vocabulary) == len(start.model.vocabulary) and ours == theirs:
            weights[name] = source.copy()
            continue
        merged = weight.copy()
        if name == "embedding" or (name == "recurrent.0.kernel" and "embedding" not in fresh):
            merged[ours] = source[theirs]
        elif name.startswith("output."):
            merged[..., ours] = source[..., theirs]
        else:
            merged[:] = source
        weights[name] = merged
    return weights


def describe_transfer(start: Start, vocabulary: Vocabulary) -> str:
    """Return a line for the user: how many tokens are known, and which are new."""
    ours, _ = _matched_ids(vocabulary, start.model.vocabulary)
    texts = _token_texts(vocabulary)
    new = [text for text, number in texts.items() if number not in set(ours)]
    shown = ", ".join(map(repr, new[:TOKENS_SHOWN])) + (", ..." if len(new) > TOKENS_SHOWN else "")
    fresh = f"{len(new)} new with random weights: {shown}" if new else "none is new"
    return f"starting from the weights of {start.name}: {len(ours):,} of {len(texts):,} tokens known, {fresh}"


def _matched_ids(vocabulary: Vocabulary, other: Vocabulary) -> tuple[list[int], list[int]]:
    """Return the ids in both vocabularies of the tokens that they share."""
    texts, others = _token_texts(vocabulary), _token_texts(other)
    shared = [text for text in texts if text in others]
    return [texts[text] for text in shared], [others[text] for text in shared]


def _token_texts(vocabulary: Vocabulary) -> dict[str, int]:
    """Return the id of every token by its text; labels have other texts than pieces."""
    texts = {"(boundary)": BOUNDARY} | {f"{piece}": number for number, piece in enumerate(vocabulary, start=1)}
    return texts | {f"(label {label})": vocabulary.label_id(label) for label in vocabulary.labels}

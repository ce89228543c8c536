"""Describe a server's model for its API and its page."""

from typing import Any, NamedTuple

from chargen.export.contents import describe
from chargen.export.samples import sample_texts
from chargen.network.model_file import TextModel

TOLD_OF_NETWORK = ("cell", "num_layers", "hidden_size", "embedding_size")
TOLD_TO_PAGE = ("name", "bits_per_character", "network", "members", "vocab_size", "ends")


class ModelCard(NamedTuple):
    """Plain values."""

    card: dict[str, Any]
    for_page: dict[str, Any]


def describe_model(model: TextModel) -> ModelCard:
    """Return the description of a model; values of the file's metadata with unexpected types are left out."""
    described = describe(model, "float32")
    kind, labels = model.vocabulary.kind, list(model.vocabulary.labels)
    parameters = model.network.num_parameters
    epochs = model.provenance.get("epochs")
    card = {
        "name": described["name"],
        **{name: described["network"][name] for name in TOLD_OF_NETWORK},
        "networks": len(model.network.members),
        "parameters": parameters,
        "tokens": kind,
        "vocab_size": described["vocab_size"],
        "labels": labels,
        "reading": model.reading,
        "ends": model.ends,
        "context_length": model.context_length,
        "epochs": epochs if type(epochs) is int else None,
        "bits_per_character": described["bits_per_character"],
    }
    for_page = {name: described[name] for name in TOLD_TO_PAGE if name in described} | {"samples": sample_texts(model)}
    return ModelCard(card, for_page | {"vocabulary": {"kind": kind, "labels": labels}, "num_parameters": parameters})

"""Take the settings of the text from the folder of tokens that training reads."""

from collections.abc import Mapping, Sequence
from typing import Any

from chargen.corpus.token_folder import find_token_folder
from chargen.errors import ConfigError
from chargen.settings.layers import resolve


def token_layers(layers: Sequence[tuple[str, Mapping[str, Any]]]) -> list[tuple[str, Mapping[str, Any]]]:
    """Return a layer with the settings that the tokens were made with, or no layer if training reads text.

    Raises ConfigError if one of the layers has another setting of the text, and what reading a folder of tokens raises.
    """
    settings = resolve(*layers).settings
    folder = find_token_folder(settings.corpus.files)
    if folder is None:
        return []
    name = settings.corpus.files[0]
    if settings.training.task == "classify":
        raise ConfigError(f"{name} holds tokens without labels, but training.task is classify", hint="give labelled texts")
    layer = (name, {"corpus": folder.config})
    corpus, made = resolve(layer, *layers).settings.to_mapping()["corpus"], resolve(layer).settings.to_mapping()["corpus"]
    for key, value in made.items():
        if key != "files" and corpus[key] != value:
            raise ConfigError(
                f"corpus.{key} is {corpus[key]}, but {name} was made with {value}",
                hint="leave it out, or run chargen tokenize with it",
            )
    return [layer]

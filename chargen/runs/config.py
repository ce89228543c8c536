"""Write and read config.toml: the settings of a run, and comments with the reasons for them."""

from collections.abc import Sequence
from typing import Any

from chargen.errors import RunError
from chargen.runs.directory import RunDirectory, write_first
from chargen.settings.layers import read_run_config, resolve
from chargen.settings.schema import Settings

# The settings that, with the text and the random seed, determine the validation split.
HELD_OUT_BY = (
    "reading",
    "separator",
    "file_readings",
    "strip_licence",
    "validation_split",
    "validation",
    "label_by",
    "label_column",
)


def write_config(run: RunDirectory, settings: Settings, comments: Sequence[str] = ()) -> None:
    """Write the settings, comments in front. Raises RunError if the file cannot be written."""
    write_first(run.config, "".join(f"# {comment}\n" for comment in comments) + settings.to_toml())


def read_settings(run: RunDirectory) -> Settings:
    """Return the settings of a run. Raises RunError if it has no config.toml, and ConfigError for bad settings."""
    if not run.config.is_file():
        raise RunError(f"{run.path} has no config.toml, which names the text that it was trained on")
    return resolve(read_run_config(run.config)).settings


def held_out_by(settings: Settings, sha256: Any) -> tuple[Any, ...]:
    """Return a key that is equal for trainings on a text, of this SHA-256, with the same validation split."""
    return (sha256, settings.training.random_seed, *(getattr(settings.corpus, name) for name in HELD_OUT_BY))


def read_comments(run: RunDirectory) -> list[str]:
    """Return the comments in front of the settings."""
    lines = run.config.read_text(encoding="utf-8").splitlines()
    first = next((number for number, line in enumerate(lines) if not line.startswith("# ")), len(lines))
    return [line[2:] for line in lines[:first]]

"""Resume a stopped training with the same settings and the same text."""

from collections.abc import Mapping
from typing import Any

from chargen.errors import ConfigError, CorpusError
from chargen.runs.checkpoints import Checkpoint, read_newest
from chargen.runs.directory import RunDirectory
from chargen.settings.layers import filled_up
from chargen.settings.schema import Settings
from chargen.training.planning.plan import Plan


def find_checkpoint(run: RunDirectory, plan: Plan) -> tuple[Checkpoint | None, list[str]]:
    """Return the newest whole checkpoint of a run, None where there is none yet, and what is to be said of damaged ones.

    Raises ConfigError or CorpusError if the plan is not the one that it was written under.
    """
    checkpoint, notes = read_newest(run.checkpoints)
    if checkpoint:
        check_settings(run, plan.settings.to_mapping(), checkpoint.facts["settings"])
        if checkpoint.facts["corpus"] != plan.corpus.sha256:
            raise CorpusError(
                f"the text of {run.path} is not the one that it was trained on", hint="go on from its weights with --from"
            )
    return checkpoint, notes


def is_finished(checkpoint: Checkpoint | None, plan: Plan) -> bool:
    """Tell whether training has come to its end."""
    if checkpoint is None:
        return False
    return checkpoint.position.epoch >= plan.settings.training.epochs or bool(checkpoint.facts["progress"]["stop"])


def check_settings(run: RunDirectory, given: Mapping[str, Any], stored: Mapping[str, Any]) -> None:
    """Raise ConfigError where a setting is not the one that a run was trained with; one that came later is as it was before."""
    known = filled_up({section: dict(values) for section, values in stored.items()})
    stored = {section: values | known.get(section, {}) for section, values in Settings().to_mapping().items()}
    for section, values in given.items():
        if section == "tracking":  # where else a run is logged changes nothing in it
            continue
        for name in {**stored.get(section, {}), **values}:
            asked, had = values.get(name), stored.get(section, {}).get(name)
            if asked != had:
                raise ConfigError(
                    f"{section}.{name} is {asked}, {run.path} was trained with {had}",
                    hint="leave it as it was, or go on from its weights with --from",
                )

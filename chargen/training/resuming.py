"""Resume a stopped training with the same settings and the same text, or go on beyond its end."""

from collections.abc import Mapping
from typing import Any

from chargen.errors import ConfigError, CorpusError
from chargen.runs.checkpoints import Checkpoint, read_newest
from chargen.runs.directory import RunDirectory
from chargen.settings.layers import filled_up
from chargen.settings.schema import Settings
from chargen.training.planning.plan import Plan

MAY_CHANGE = ("epochs", "learning_rate", "patience", "until_loss")  # of [training]: how long and how fast, not what
RECORDED = ("schedule_steps",)  # of [training], at its end


def find_checkpoint(run: RunDirectory, plan: Plan) -> tuple[Checkpoint | None, list[str]]:
    """Return the newest undamaged checkpoint of a run, None if there is none, and messages about it and damaged ones.

    If the plan has another end or learning rate, an earlier decision to stop is reset. Raises ConfigError if any other setting
    differs from that of the checkpoint, and CorpusError if the text differs.
    """
    checkpoint, notes = read_newest(run.checkpoints)
    if checkpoint is None:
        return None, notes
    check_settings(run, plan.settings.to_mapping(), checkpoint.facts["settings"])
    if checkpoint.facts["corpus"] != plan.corpus.sha256:
        raise CorpusError(
            f"the text has changed since {run.path} was trained",
            hint="restore it, or train on from the weights with --from",
        )
    changes = changed_settings(checkpoint, plan)
    if not changes:
        return checkpoint, notes
    if plan.settings.training.epochs <= checkpoint.position.epoch:
        raise ConfigError(
            f"training.epochs is {plan.settings.training.epochs}, {run.path} has trained {checkpoint.position.epoch} epochs",
            hint="give more with --epochs",
        )
    facts = checkpoint.facts | {"progress": checkpoint.facts["progress"] | {"stop": False, "_epochs_since_best": 0}}
    told = ", ".join(f"{name.replace('_', ' ')} {new} instead of {old}" for name, (old, new) in changes.items())
    return checkpoint._replace(facts=facts), [*notes, f"going on after epoch {checkpoint.position.epoch}: {told}"]


def changed_settings(checkpoint: Checkpoint, plan: Plan) -> dict[str, tuple[Any, Any]]:
    """Return the settings that differ from those of a checkpoint, each with its old and its new value."""
    stored, given = checkpoint.facts["settings"]["training"], plan.settings.to_mapping()["training"]
    pairs = {name: (stored.get(name), given.get(name)) for name in MAY_CHANGE}
    return {name: (old, new) for name, (old, new) in pairs.items() if old != new}


def is_finished(checkpoint: Checkpoint | None, plan: Plan) -> bool:
    """Tell whether the training is finished."""
    if checkpoint is None:
        return False
    return checkpoint.position.epoch >= plan.settings.training.epochs or bool(checkpoint.facts["progress"]["stop"])


def check_settings(run: RunDirectory, given: Mapping[str, Any], stored: Mapping[str, Any]) -> None:
    """Raise ConfigError if a setting differs from that of a run; settings newer than the run have their former values."""
    known = filled_up({section: dict(values) for section, values in stored.items()})
    stored = {section: values | known.get(section, {}) for section, values in Settings().to_mapping().items()}
    for section, values in given.items():
        if section == "tracking":  # which changes nothing in the run
            continue
        for name in {**stored.get(section, {}), **values}:
            if section == "training" and name in (*MAY_CHANGE, *RECORDED):
                continue
            asked, had = values.get(name), stored.get(section, {}).get(name)
            if asked != had:
                raise ConfigError(
                    f"{section}.{name} is {asked}, but {run.path} was trained with {had}",
                    hint="leave it out, or train on from the weights with --from",
                )

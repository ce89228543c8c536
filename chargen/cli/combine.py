from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from chargen.cli.completing import complete_runs
from chargen.cli.options import common_options, runs_dir_option
from chargen.errors import ConfigError, RunError
from chargen.terminal import echo

if TYPE_CHECKING:
    from chargen.network.model_file import TextModel
    from chargen.runs.directory import RunDirectory
    from chargen.settings.schema import Settings


@click.command("combine")
@click.argument("run_specs", nargs=-1, metavar="RUN RUN...", shell_complete=complete_runs)
@runs_dir_option
@common_options
def command(run_specs: tuple[str, ...], runs_dir: Path, verbosity: int) -> None:
    """Make one run of several: a model file with all their networks, whose probabilities are averaged.

    Every command takes the new run like that of one network. It usually predicts better than each of them, and takes as long as
    all of them together. The RUNs need the same vocabulary. An n-gram memory is that of the first RUN that has one. The path of
    the new run is printed to stdout.

    \b
      chargen train book.txt --network-seed 1
      chargen train book.txt --network-seed 2
      chargen combine book-lstm-20260101-120000 book-lstm-20260101-130000
    """
    from chargen.network.model_file import load_model, save_model
    from chargen.runs.config import write_config
    from chargen.runs.directory import RunDirectory, create_run, find_model
    from chargen.writing.combining import combine

    if len(run_specs) < 2:
        raise ConfigError(f"got {len(run_specs)} run{'s' * (len(run_specs) != 1)}, expected two or more")
    paths = [find_model(spec, runs_dir) for spec in run_specs]
    models = [(_name(path), load_model(path)) for path in paths]
    model = combine(models)
    settings = _common_settings([(RunDirectory(path.parent), one) for path, (_, one) in zip(paths, models, strict=True)])
    corpus = model.provenance.get("corpus")
    run = create_run(runs_dir, corpus=corpus if isinstance(corpus, str) else "text", cell="combined", now=datetime.now())
    try:
        save_model(run.model, model)
    except OSError as error:
        raise RunError(f"cannot write {run.model}: {error.strerror}", hint="choose another --runs-dir") from error
    if settings:
        names = ", ".join(name for name, _ in models)
        write_config(run, settings, [f"combined from {names}; these are the settings of the first"])
    for line in _notes(model, settings) if verbosity else ():
        echo(line, err=True)
    echo(str(run.path))


def _name(path: Path) -> str:
    """Return how a model is named in the file: its run, or its file if it is not the run's best model."""
    return path.parent.resolve().name if path.name.startswith("model.") else path.name


def _common_settings(runs: "Sequence[tuple[RunDirectory, TextModel]]") -> "Settings | None":
    """Return the settings of the first run if all runs hold out the same text, else None."""
    from chargen.runs.config import held_out_by, read_settings

    try:
        settings = [read_settings(run) for run, _ in runs]
    except (ConfigError, RunError):
        return None
    digests = [model.provenance.get("sha256") for _, model in runs]
    keys = {held_out_by(one, sha256) for one, sha256 in zip(settings, digests, strict=True)}
    return settings[0] if len(keys) == 1 else None


def _notes(model: "TextModel", settings: "Settings | None") -> list[str]:
    from chargen.insight.layers import describe_networks

    members = model.network.members
    lines = [f"{describe_networks([one.config for one in members])}, {model.network.num_parameters:,} weights"]
    if not settings:
        lines.append("the runs do not hold out the same text; to measure the combination, chargen evaluate RUN FILE")
    return lines

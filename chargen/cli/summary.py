from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from chargen.cli.completing import complete_runs
from chargen.cli.json_text import json_text
from chargen.cli.options import common_options, json_option, runs_dir_option
from chargen.terminal import echo

if TYPE_CHECKING:
    from chargen.corpus.vocabulary import Vocabulary
    from chargen.insight.layers import LayerRow
    from chargen.settings.schema import NetworkConfig

HEADER = ("Layer (type)", "Output Shape", "Param #")
BYTES_PER_NUMBER = 4


@click.command("summary")
@click.argument("run_spec", metavar="[RUN]", required=False, shell_complete=complete_runs)
@runs_dir_option
@json_option
@common_options
def command(run_spec: str | None, runs_dir: Path, as_json: bool, verbosity: int) -> None:
    """Print the layers of a network with their output shapes and parameters, as Keras's model.summary() does.

    RUN is a run's name, its path, or a model file; the newest run unless given. None in a shape is the batch.

    \b
      chargen summary
      chargen summary male-lstm-20260101-120000 --json
    """
    from chargen.insight.layers import layer_rows
    from chargen.network.model_file import num_class_outputs, read_metadata
    from chargen.runs.directory import find_model

    metadata = read_metadata(find_model(run_spec, runs_dir))
    networks, vocabulary, labels = metadata["networks"], metadata["vocabulary"], metadata.get("labels")
    num_outputs, length = num_class_outputs(len(labels)) if labels else None, metadata["context_length"]
    tables = [layer_rows(one, len(vocabulary), context_length=length, num_outputs=num_outputs) for one in networks]
    if as_json:
        first, *others = [_mapping(rows) for rows in tables]
        echo(json_text(first | {"others": others} if others else first))
        return
    for number, (network, rows) in enumerate(zip(networks, tables, strict=True), start=1):
        if len(tables) > 1:
            echo(f"network {number} of {len(tables)}, whose probabilities are averaged")
        echo(layer_table(rows, network, vocabulary))


def layer_table(rows: "Sequence[LayerRow]", network: "NetworkConfig", vocabulary: "Vocabulary") -> str:
    """Return the table of layers, its totals, and where the one token that is no character comes from."""
    cells = [HEADER, *((f"{row.name} ({row.kind})", _shape(row), f"{row.parameters:,}") for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [f" {name:{widths[0]}}  {shape:{widths[1]}}  {count:>{widths[2]}}" for name, shape, count in cells]
    rule = "─" * (sum(widths) + 6)
    trained, fixed = sum(row.trainable for row in rows), sum(row.non_trainable for row in rows)
    totals = [
        f" {what} params: {count:,} ({_size(count)})"
        for what, count in (("Total", trained + fixed), ("Trainable", trained), ("Non-trainable", fixed))
    ]
    return "\n".join([rule, lines[0], rule, *lines[1:], rule, *totals, *_notes(network, vocabulary)])


def _notes(network: "NetworkConfig", vocabulary: "Vocabulary") -> list[str]:
    pieces = {"character": "characters", "byte": "bytes", "word": "words", "bpe": "pieces of words"}[vocabulary.kind]
    labels = f", {len(vocabulary.labels)} labels" if vocabulary.labels else ""
    boundary = "and id 0, the boundary before and after each text"
    notes = [f" {len(vocabulary):,} tokens: {len(vocabulary.pieces):,} {pieces}{labels}, {boundary}"]
    if network.recurrent_dropout or network.weight_drop:
        notes.append(" dropped inside the recurrent layers in training: see --recurrent-dropout and --weight-drop")
    return notes


def _shape(row: "LayerRow") -> str:
    return f"(None, {', '.join(map(str, row.shape))})"


def _size(count: int) -> str:
    """Return the memory of some float32 numbers, as Keras prints it."""
    size = float(count * BYTES_PER_NUMBER)
    for unit in ("B", "KB", "MB"):
        if size < 1024:
            return f"{size:.2f} {unit}"
        size /= 1024
    return f"{size:.2f} GB"


def _mapping(rows: "Sequence[LayerRow]") -> dict[str, Any]:
    layers = [
        {"name": row.name, "type": row.kind, "output_shape": [None, *row.shape], "params": row.parameters} for row in rows
    ]
    trained, fixed = sum(row.trainable for row in rows), sum(row.non_trainable for row in rows)
    return {"layers": layers, "total_params": trained + fixed, "trainable_params": trained, "non_trainable_params": fixed}

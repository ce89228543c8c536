from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from chargen.cli.completing import complete_texts
from chargen.cli.json_text import json_text
from chargen.cli.options import ABOUT_THE_CALL, LongCommand, common_options, json_option, option_layers, section_options
from chargen.errors import RunError
from chargen.settings.layers import resolve
from chargen.settings.schema import TrainingConfig
from chargen.terminal import echo

COMMON = {
    "Text": ("--per-line", "--document", "--separator", "--glob", "--encoding", "--format", "--tokens", "--vocab-size"),
    "Output": ("--output", *ABOUT_THE_CALL),
}


@click.command("tokenize", cls=LongCommand, common=COMMON)
@click.argument("files", nargs=-1, required=True, shell_complete=complete_texts)
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="The folder to make, which must not exist.",
)
@click.option(
    "--random-seed",
    type=click.IntRange(min=0),
    default=TrainingConfig.random_seed,
    show_default=True,
    metavar="SEED",
    help="Seed of the choice of the held-out text.",
)
@section_options("corpus")
@json_option
@common_options
def command(files: tuple[str, ...], output: Path, random_seed: int, as_json: bool, verbosity: int, **given: Any) -> None:
    """Write the tokens of FILES into DIR, for a text that is larger than memory or is trained on by several machines.

    The text is read, split and tokenized once. `chargen train DIR` reads parts of the files when it needs them. DIR may be
    copied elsewhere; `chargen train s3://bucket/DIR/tokens.json` downloads the files that it reads.

    \b
      chargen tokenize articles/ --output articles-tokens
      chargen tokenize book.txt --tokens bpe --vocab-size 5000 --output tokens
      chargen train tokens
    """
    from chargen.corpus.token_folder import write_token_folder

    config = resolve(*option_layers(files, None, given)).settings.corpus
    try:
        folder = write_token_folder(output, config, seed=random_seed)
    except OSError as error:
        raise RunError(f"cannot write {output}: {error.strerror}", hint="choose another folder with --output") from error
    figures = folder.figures()
    for note in (*folder.corpus.notes, _described(figures)) if verbosity else ():
        echo(note, err=True)
    echo(json_text({"path": str(output)} | figures) if as_json else str(output))


def _described(figures: Mapping[str, int]) -> str:
    return (
        f"{figures['documents']:,} documents, {figures['characters']:,} characters, {figures['vocabulary']:,} kinds of tokens; "
        f"{figures['training_tokens']:,} tokens to train on, {figures['validation_tokens']:,} held out"
    )

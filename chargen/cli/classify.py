import json
from pathlib import Path

import click

from chargen.cli.completing import complete_files
from chargen.cli.options import common_options, json_option, runs_dir_option
from chargen.cli.reading import run_option
from chargen.errors import ConfigError
from chargen.terminal import echo

STDIN = "-"


@click.command("classify")
@click.argument("texts", nargs=-1, metavar="[TEXT]...")
@run_option
@click.option(
    "--file", "files", multiple=True, metavar="FILE", shell_complete=complete_files, help="Read texts from a file, one a line."
)
@click.option(
    "--prior",
    "priors",
    multiple=True,
    metavar="LABEL=P",
    help="How probable a label is before its text is seen; all are alike unless given, and the others share what is left.",
)
@click.option(
    "--on-unknown",
    type=click.Choice(["error", "skip", "nearest"]),
    default="error",
    show_default=True,
    help="What to do with a character that the model has never seen.",
)
@runs_dir_option
@json_option
@common_options
def command(
    texts: tuple[str, ...],
    run_spec: str | None,
    files: tuple[str, ...],
    priors: tuple[str, ...],
    on_unknown: str,
    runs_dir: Path,
    as_json: bool,
    verbosity: int,
) -> None:
    """Tell the label of each TEXT, - for one text a line from stdin: labels and their probabilities, the likeliest first.

    The run is one of `train --task classify`, or one that learnt to write with --label-by: then it is Bayes' rule over the
    probabilities of writing the text.

    \b
      chargen train male.txt female.txt --label-by file
      chargen classify "Harold" "Ida" --prior male=0.3
      chargen train reviews.csv --task classify --tokens word
      chargen classify --file new-reviews.txt --json
    """
    from chargen.network.classifier import label_probabilities, load_labelled
    from chargen.run import find_model

    model = load_labelled(find_model(run_spec, runs_dir))
    given = _read_texts(texts, files)
    ranked = label_probabilities(model, given, prior=_parse_priors(priors), on_unknown=on_unknown)
    if as_json:
        rows = [{"text": text, "label": next(iter(one)), "probabilities": one} for text, one in zip(given, ranked, strict=True)]
        echo(json.dumps(rows, ensure_ascii=False))
        return
    for text, one in zip(given, ranked, strict=True):
        echo(_line(one, text) if len(given) > 1 else _column(one))


def _read_texts(texts: tuple[str, ...], files: tuple[str, ...]) -> list[str]:
    """Return the texts of the arguments and, line by line, of stdin and the files. Raises ConfigError where there is none."""
    from chargen.corpus.reading import read_texts

    given: list[str] = []
    for text in texts:
        given += _lines(str(read_texts([STDIN])[0].text)) if text == STDIN else [text]
    for source in read_texts(files) if files else []:
        given += _lines(str(source.text))
    if not given:
        raise ConfigError("there is no text to classify", hint='give one, as in chargen classify "Harold", or --file')
    for number, text in enumerate(given, start=1):
        if not text.strip():
            raise ConfigError(f"text {number} of {len(given)} is empty", hint="leave it out")
    return given


def _lines(text: str) -> list[str]:
    return text.removesuffix("\n").split("\n")


def _parse_priors(priors: tuple[str, ...]) -> dict[str, float]:
    """Return the probability of each label given as LABEL=P. Raises ConfigError for anything else."""
    parsed: dict[str, float] = {}
    for given in priors:
        label, _, number = given.rpartition("=")
        try:
            probability = float(number)
        except ValueError:
            probability = None
        if not label or probability is None or label in parsed:
            raise ConfigError(f"--prior is {given!r}, expected LABEL=P, each label once", hint="for example --prior male=0.3")
        parsed[label] = probability
    return parsed


def _column(ranked: dict[str, float]) -> str:
    """Return one label a line."""
    width = max(map(len, ranked))
    return "\n".join(f"{label:{width}}  {probability:.4f}" for label, probability in ranked.items())


def _line(ranked: dict[str, float], text: str) -> str:
    """Return the labels of one of several texts, and the text."""
    return "  ".join([*(f"{label} {probability:.4f}" for label, probability in ranked.items()), text])

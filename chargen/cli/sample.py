import json
import sys
from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from typing import Any

import click

from chargen.cli.options import common_options, json_option, runs_dir_option
from chargen.errors import RunError
from chargen.files import write_atomically

DEFAULT_LENGTH = 200
DEFAULT_NAMES = 10  # samples from a model of lines


@click.command("sample")
@click.option("--run", "run_spec", metavar="NAME|PATH", help="Run or model file; the newest run unless given.")
@click.option("--seed", "prompt", default="", metavar="TEXT", help="Text to continue.")
@click.option("--temp", "temperature", type=float, default=1.0, show_default=True, help="Temperature; 0 is greedy.")
@click.option("--top-k", type=int, default=0, metavar="K", help="Draw from the K most probable characters only; 0 for all.")
@click.option("--top-p", type=float, default=1.0, metavar="P", help="Draw from the fewest characters that hold P together.")
@click.option("--greedy", is_flag=True, help="Always take the most probable character.")
@click.option(
    "--length", type=click.IntRange(0), default=DEFAULT_LENGTH, show_default=True, help="Characters to write, at most."
)
@click.option(
    "--count",
    type=click.IntRange(1),
    default=None,
    help=f"Texts to write.  [default: 1, or {DEFAULT_NAMES} from a model of lines]",
)
@click.option("--until", metavar="TEXT", help="Stop once TEXT has been written.")
@click.option(
    "--random-seed", type=click.IntRange(0), default=None, help="Seed of the draws; the same one gives the same text."
)
@click.option(
    "--on-unknown",
    type=click.Choice(["error", "skip", "nearest"]),
    default="error",
    show_default=True,
    help="What to do with a character of --seed that the model has never seen.",
)
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="Write to a file instead of stdout.")
@runs_dir_option
@json_option
@common_options
def command(
    run_spec: str | None,
    prompt: str,
    temperature: float,
    top_k: int,
    top_p: float,
    greedy: bool,
    length: int,
    count: int | None,
    until: str | None,
    random_seed: int | None,
    on_unknown: str,
    output: Path | None,
    runs_dir: Path,
    as_json: bool,
    verbosity: int,
) -> None:
    """Write new text with a trained network.

    A model of lines, such as names, writes whole lines; other models write a stretch of text.

    \b
      chargen sample --seed "Har" --temp 1.2
      chargen sample --run runs/book-lstm-20260101-120000 --length 500 --top-p 0.9
      chargen sample --count 100 --json
    """
    import numpy as np

    from chargen.network.generation import sample_texts, stream_text
    from chargen.network.model_file import load_model
    from chargen.network.sampling import Sampler
    from chargen.run import find_model

    sampler = Sampler(temperature=0.0 if greedy else temperature, top_k=top_k, top_p=top_p)
    model = load_model(find_model(run_spec, runs_dir))
    ids = model.vocabulary.encode(prompt, on_unknown=on_unknown)
    prompt = model.vocabulary.decode(ids)  # what is left of it
    count = count or (DEFAULT_NAMES if model.reading == "line" else 1)
    drawn: dict[str, Any] = {
        "length": length,
        "sampler": sampler,
        "rng": np.random.default_rng(random_seed),
        "until": until,
    }
    pieces: Iterable[str]
    if count == 1 and not as_json:
        pieces = chain([prompt], stream_text(model, ids, **drawn), ["\n"])
    else:
        texts = [prompt + text for text in sample_texts(model, ids, count=count, **drawn)]
        separator = "\n" if model.reading == "line" else "\n\n"
        content = json.dumps({"prompt": prompt, "texts": texts}, ensure_ascii=False) if as_json else separator.join(texts)
        pieces = [content, "\n"]
    _write(pieces, output)


def _write(pieces: Iterable[str], output: Path | None) -> None:
    """Write text as it comes to stdout, or whole to a file."""
    if output is None:
        for piece in pieces:
            sys.stdout.write(piece)
            sys.stdout.flush()
        return
    try:
        write_atomically(output, "".join(pieces))
    except OSError as error:
        raise RunError(f"cannot write {output}: {error.strerror}", hint="choose another file with --output") from error

"""Print the embedding of a model's tokens, for `chargen units --embedding`."""

import shutil
from typing import TYPE_CHECKING

from chargen.cli.json_text import json_text
from chargen.cli.reading import shown_token
from chargen.terminal import echo

if TYPE_CHECKING:
    from chargen.insight.embedding import Embedding
    from chargen.network.model_file import TextModel

MAX_TOKENS = 60  # in text output; JSON has all
NEIGHBOURS = 5  # of each of several tokens
PICTURE = (78, 24)  # characters, at most


def show_embedding(model: "TextModel", token: str | None, top: int, *, as_json: bool) -> None:
    """Print the neighbours of each token, or of one, and a picture of all. Raises ConfigError without an embedding."""
    from chargen.insight.embedding import read_embedding

    embedding = read_embedding(model)
    if as_json:
        echo(json_text(_mapping(embedding, token, top)))
    elif token is not None:
        echo("\n".join(f"{one.similarity:+.3f}  {shown_token(one.token)}" for one in embedding.neighbours(token, top)))
    else:
        echo("\n".join([*_neighbours(embedding), "", *_picture(embedding)]))


def _mapping(embedding: "Embedding", token: str | None, top: int) -> dict[str, object]:
    tokens = embedding.tokens if token is None else [token]
    neighbours = {one: [found._asdict() for found in embedding.neighbours(one, top)] for one in tokens}
    points = dict(zip(embedding.tokens, embedding.plane().round(4).tolist(), strict=True))
    return {"size": embedding.vectors.shape[1], "tokens": len(embedding.tokens), "neighbours": neighbours, "points": points}


def _neighbours(embedding: "Embedding") -> list[str]:
    shown = embedding.tokens[:MAX_TOKENS]
    width = max(len(shown_token(one)) for one in shown)
    lines = [
        f"{shown_token(one):{width}}  "
        + "  ".join(f"{shown_token(found.token)} {found.similarity:.2f}" for found in embedding.neighbours(one, NEIGHBOURS))
        for one in shown
    ]
    more = len(embedding.tokens) - len(shown)
    return lines + ([f"and {more:,} more; --json lists all, --token shows one"] if more else [])


def _picture(embedding: "Embedding") -> list[str]:
    from chargen.pages.scatter import scatter_lines

    width = min(PICTURE[0], shutil.get_terminal_size().columns)
    names = [shown_token(one)[1:-1] for one in embedding.tokens]
    return scatter_lines(names, embedding.plane(), width=width, height=PICTURE[1])

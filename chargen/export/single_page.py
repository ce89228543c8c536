"""Build the pages for writing: one runs a model in the browser, the other uses a server.

They are assembled from the files in the folder `single_page`; their policy allows exactly these scripts and styles.
"""

import re
from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from chargen.export.contents import Precision, describe, packed
from chargen.export.samples import sample_texts
from chargen.inline import ascii_json, content_policy
from chargen.network.model_file import TextModel

FOLDER = Path(__file__).parent / "single_page"
SCRIPTS = ("network.js", "tokens.js", "manuscript.js", "local.js", "page.js")
SERVED_SCRIPTS = ("manuscript.js", "remote.js", "page.js")
PROMISE = "This page works offline: it loads nothing and sends nothing."
SERVED_PROMISE = "The network runs on the server of this page; your text is sent only there."


class ServedPage(NamedTuple):
    """A page in ASCII, and its Content-Security-Policy for the response header."""

    html: str
    policy: str


def make_page(model: TextModel, precision: Precision) -> str:
    """Return an HTML page that writes with a model, in ASCII. Raises the errors of `packed`.

    Untrusted texts of the model are only in its JSON; `bytes` in it is the size of the page.
    """
    numbers = b64encode(packed(model, precision)).decode("ascii")
    weights = f'<script type="text/plain" id="weights">{numbers}</script>\n'
    described = describe(model, precision) | {"samples": sample_texts(model)}
    size, page = 0, ""
    while not page or len(page) != size:  # which is part of it
        size = len(page)
        page = _page(SCRIPTS, described | {"bytes": size}, weights=weights, promise=PROMISE).html
    return page


def make_served_page(described: Mapping[str, Any]) -> ServedPage:
    """Return the page that writes through the API of its server; described: what the script knows of model and server."""
    return _page(SERVED_SCRIPTS, described, weights="", promise=SERVED_PROMISE, requests="connect-src 'self'")


def _page(
    scripts: tuple[str, ...], described: Mapping[str, Any], *, weights: str, promise: str, requests: str = ""
) -> ServedPage:
    style = _source("style.css")
    script = "\n".join(['"use strict";\n', *map(_source, scripts)])
    policy = content_policy(style, script, requests)
    parts = {
        "policy": policy,
        "style": style,
        "promise": promise,
        "model": ascii_json(described),
        "weights": weights,
        "script": script,
    }
    # In one pass, so that a placeholder within one of the parts is not replaced.
    return ServedPage(re.sub(r"\{\{(\w+)\}\}", lambda place: parts[place[1]], _source("page.html")), policy)


def _source(name: str) -> str:
    return (FOLDER / name).read_text(encoding="ascii")

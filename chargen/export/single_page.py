"""Build the pages for writing: one runs a model in the browser, the other uses a server.

They are assembled from the files in the folder `single_page`; their policy allows exactly these scripts and styles.
"""

import re
from base64 import b64encode
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from chargen.export.contents import Precision, describe, describe_memory, packed, packed_memory
from chargen.export.corpus_lines import packed_lines
from chargen.export.samples import sample_texts
from chargen.export.simd_module import assemble
from chargen.inline import ascii_json, make_head
from chargen.network.model_file import TextModel

FOLDER = Path(__file__).parent / "single_page"
PAGE = ("settings.js", "slices.js", "manuscript.js", "candidates.js", "paper.js", "lines.js", "keep.js", "page.js", "events.js")
SCRIPTS = ("local.js", *PAGE)
SERVED_SCRIPTS = ("remote.js", *PAGE)
ENGINE = (
    "arithmetic.js",
    "network.js",
    "memory.js",
    "tokens.js",
    "sampling.js",
    "engine.js",
    "worker.js",
)  # for the worker of a page with weights
PROMISE = "This page works offline: it loads nothing and sends nothing."
SERVED_PROMISE = "The network runs on the server of this page; your text is sent only there."


class ServedPage(NamedTuple):
    """A page in ASCII, and its Content-Security-Policy for the response header."""

    html: str
    policy: str


def make_page(model: TextModel, precision: Precision, *, lines: Iterable[str] = ()) -> str:
    """Return an HTML page that writes with a model, in ASCII. Raises the errors of `packed`.

    lines: those of the corpus, which the page marks when the network writes them. Untrusted texts of the model are only in the
    page's JSON; `bytes` in it is the size of the page.
    """
    numbers = b64encode(packed(model, precision)).decode("ascii")
    engine = _joined(ENGINE)
    weights = "".join(
        f'<script type="text/plain" id="{name}">{content}</script>\n'
        for name, content in (("engine", engine), ("weights", numbers))
    )
    more = {"samples": sample_texts(model), "lines": packed_lines(lines), "simd": b64encode(assemble()).decode("ascii")}
    described = describe(model, precision) | more | page_memory(model)
    size, page = 0, ""
    while not page or len(page) != size:  # which is part of it
        size = len(page)
        page = _page(
            SCRIPTS,
            described | {"bytes": size},
            weights=weights,
            promise=PROMISE,
            more="worker-src blob:",
            sources=" 'wasm-unsafe-eval'",
        ).html
    return page


def page_memory(model: TextModel) -> dict[str, Any]:
    """Return what `describe_memory` does, with the arrays in base64."""
    grams = b64encode(packed_memory(model)).decode("ascii")
    return {name: one | {"grams": grams} for name, one in describe_memory(model).items()}


def make_served_page(described: Mapping[str, Any]) -> ServedPage:
    """Return the page that writes through the API of its server; described: what the script knows of model and server."""
    return _page(SERVED_SCRIPTS, described, weights="", promise=SERVED_PROMISE, more="connect-src 'self'")


def _page(
    scripts: tuple[str, ...],
    described: Mapping[str, Any],
    *,
    weights: str,
    promise: str,
    more: str,
    sources: str = "",
) -> ServedPage:
    """Return the page of some scripts; more, sources: what its policy allows besides them, and for scripts."""
    script = _joined(scripts)
    head = make_head(_source("style.css"), script, more=more, sources=sources)
    parts = head._asdict() | {
        "promise": promise,
        "model": ascii_json(described),
        "weights": weights,
        "script": script,
    }
    # In one pass, so that a placeholder within one of the parts is not replaced.
    return ServedPage(re.sub(r"\{\{(\w+)\}\}", lambda place: parts[place[1]], _source("page.html")), head.policy)


def _joined(scripts: tuple[str, ...]) -> str:
    return "\n".join(['"use strict";\n', *map(_source, scripts)])


def _source(name: str) -> str:
    return (FOLDER / name).read_text(encoding="ascii")

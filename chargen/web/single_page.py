"""The export to one HTML page, which runs a model in the browser and can ask for nothing else.

The page is put together from the files in the folder `single_page`; its policy admits their very bytes and no others.
"""

import re
from base64 import b64encode
from hashlib import sha256
from pathlib import Path

from chargen.export.contents import Precision, ascii_json, describe, packed
from chargen.network.model_file import TextModel

FOLDER = Path(__file__).parent / "single_page"
SCRIPTS = ("network.js", "tokens.js", "manuscript.js", "page.js")


def make_page(model: TextModel, precision: Precision) -> str:
    """Return an HTML page that writes with a model; it is ASCII. Raises ConfigError as `packed` does.

    Texts of the model, which may be anybody's, are in its JSON alone, whose `bytes` is the size of the page.
    """
    numbers = b64encode(packed(model, precision)).decode("ascii")
    size, page = 0, _page(model, precision, numbers, size=0)
    while len(page) != size:  # which is written in it
        size = len(page)
        page = _page(model, precision, numbers, size=size)
    return page


def _page(model: TextModel, precision: Precision, numbers: str, *, size: int) -> str:
    style = _source("style.css")
    script = "\n".join(_source(name) for name in SCRIPTS)
    parts = {
        "policy": _policy(style, script),
        "style": style,
        "model": ascii_json(describe(model, precision) | {"bytes": size}),
        "weights": numbers,
        "script": script,
    }
    # In one pass, so that what looks like a place in one of the parts is none.
    return re.sub(r"\{\{(\w+)\}\}", lambda place: parts[place[1]], _source("page.html"))


def _source(name: str) -> str:
    return (FOLDER / name).read_text(encoding="ascii")


def _policy(style: str, script: str) -> str:
    """Return a Content-Security-Policy that forbids every request, and every style and script but these."""
    admitted = [f"{kind}-src '{_digest(text)}'" for kind, text in (("style", style), ("script", script))]
    return "; ".join(["default-src 'none'", *admitted, "base-uri 'none'", "form-action 'none'"])


def _digest(text: str) -> str:
    return "sha256-" + b64encode(sha256(text.encode("ascii")).digest()).decode("ascii")

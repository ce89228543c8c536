"""Build a self-contained page: one HTML file that loads nothing, in which no text can become markup or script.

Style and script are inline and allowed by their hashes; the page's policy forbids everything else.
"""

import base64
import hashlib
import html
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from chargen.terminal import visible

PAGES = Path(__file__).with_name("assets")


def make_page(name: str, *, title: str, body: str, data: Mapping[str, Any]) -> str:
    """Return the page with the script assets/NAME.js and the style assets/NAME.css, after those of all pages.

    title: text. body: markup, in which every text is escaped with `escaped`. data: the JSON of the element "data", for the
    script.
    """
    style = (PAGES / "theme.css").read_text(encoding="utf-8") + (PAGES / f"{name}.css").read_text(encoding="utf-8")
    script = (PAGES / f"{name}.js").read_text(encoding="utf-8")
    policy = (
        f"default-src 'none'; style-src '{_source_hash(style)}'; script-src '{_source_hash(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n<meta name="referrer" content="no-referrer">\n'
        f"<title>{escaped(title)}</title>\n<style>{style}</style>\n</head>\n<body>\n{body}\n"
        f'<script type="application/json" id="data">{_json(data)}</script>\n<script>{script}</script>\n</body>\n</html>\n'
    )


def escaped(text: str) -> str:
    """Return a text escaped for markup and quoted attributes; control characters become visible signs.

    >>> escaped("</script>\\0&")
    '&lt;/script&gt;␀&amp;'
    """
    return html.escape(visible(text))


def packed(values: npt.NDArray[Any]) -> str:
    """Return the bytes of an array in base64, little-endian."""
    return base64.b64encode(np.ascontiguousarray(values.astype(values.dtype.newbyteorder("<"))).tobytes()).decode("ascii")


def _source_hash(source: str) -> str:
    """Return the hash of an inline script or style for a Content-Security-Policy."""
    return "sha256-" + base64.b64encode(hashlib.sha256(source.encode()).digest()).decode("ascii")


def _json(data: Mapping[str, Any]) -> str:
    """Return data as ASCII JSON without characters that could begin or end markup."""
    return json.dumps(data, ensure_ascii=True).replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")

"""Build a self-contained page: one HTML file that loads nothing, in which no text can become markup or script.

Style and scripts are inline and allowed by their hashes; the page's policy forbids everything else.
"""

import base64
import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from chargen.inline import ascii_json, make_head
from chargen.terminal import visible

PAGES = Path(__file__).with_name("assets")


def make_page(parts: Sequence[str], *, title: str, body: str, data: Mapping[str, Any]) -> str:
    """Return the page with the scripts assets/PART.js and the styles assets/PART.css that exist, after those of all pages.

    title: text. body: markup, in which every text is escaped with `escaped`. data: the JSON of the element "data", for the
    script.
    """
    script = "\n".join(['"use strict";', *_sources(parts, "js")])
    head = make_head("\n".join(_sources(parts, "css")), script)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{head.policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n<meta name="referrer" content="no-referrer">\n'
        f"<title>{escaped(title)}</title>\n<style>{head.style}</style>\n<script>{head.theme}</script>\n</head>\n<body>\n{body}\n"
        "<noscript><p>This page needs JavaScript, which is switched off.</p></noscript>\n"
        f'<script type="application/json" id="data">{ascii_json(data)}</script>\n<script>{script}</script>\n</body>\n</html>\n'
    )


def _sources(parts: Sequence[str], suffix: str) -> list[str]:
    paths = (PAGES / f"{part}.{suffix}" for part in parts)
    return [path.read_text(encoding="utf-8") for path in paths if path.is_file()]


def escaped(text: str) -> str:
    """Return a text escaped for markup and quoted attributes; control characters become visible signs.

    >>> escaped("</script>\\0&")
    '&lt;/script&gt;␀&amp;'
    """
    return html.escape(visible(text))


def packed(values: npt.NDArray[Any]) -> str:
    """Return the bytes of an array in base64, little-endian."""
    return base64.b64encode(np.ascontiguousarray(values.astype(values.dtype.newbyteorder("<"))).tobytes()).decode("ascii")

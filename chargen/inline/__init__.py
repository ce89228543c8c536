"""Embed data, scripts and a style in an HTML page that may load nothing else, with the theme of all pages."""

import json
import re
from base64 import b64encode
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

FOLDER = Path(__file__).parent


class Head(NamedTuple):
    """What the head of a page holds: the policy that allows its style and scripts, the style, and the script of the theme."""

    policy: str
    style: str
    theme: str


def make_head(style: str, script: str, *, more: str = "", sources: str = "") -> Head:
    """Return the head of a page with a style and a script, each after that of all pages.

    more: a directive of the policy. sources: what scripts may use besides, after a space.
    """
    styles = (FOLDER / "theme.css").read_text(encoding="ascii") + style
    theme = (FOLDER / "theme.js").read_text(encoding="ascii")
    scripts = f"script-src {_source_hash(theme)} {_source_hash(script)}{sources}"
    fixed = ["base-uri 'none'", "form-action 'none'"]
    directives = ["default-src 'none'", f"style-src {_source_hash(styles)}", scripts, more, *fixed]
    return Head("; ".join(filter(None, directives)), styles, theme)


def light_colour(name: str) -> str:
    """Return a colour of the theme by its name, that of light pages.

    >>> light_colour("paper")
    '#f8faf8'
    """
    style = (FOLDER / "theme.css").read_text(encoding="ascii")
    return re.findall(rf"--{name}: light-dark\((#\w+),", style)[0]


def ascii_json(value: object) -> str:
    r"""Return a value as JSON in ASCII that cannot contain markup, whatever its texts are.

    Raises ValueError for a number that is not finite.

    >>> ascii_json({"é": "</script>"})
    '{"\\u00e9":"\\u003c/script\\u003e"}'
    """
    plain = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return plain.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _source_hash(source: str) -> str:
    return f"'sha256-{b64encode(sha256(source.encode()).digest()).decode('ascii')}'"

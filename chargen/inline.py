"""Embed data, a script and a style in an HTML page that may load nothing else."""

import json
from base64 import b64encode
from hashlib import sha256


def ascii_json(value: object) -> str:
    r"""Return a value as JSON in ASCII that cannot contain markup, whatever its texts are.

    Raises ValueError for a number that is not finite.

    >>> ascii_json({"é": "</script>"})
    '{"\\u00e9":"\\u003c/script\\u003e"}'
    """
    plain = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return plain.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def content_policy(style: str, script: str, more: str = "", sources: str = "") -> str:
    """Return a Content-Security-Policy that allows only this style, this script and the directive `more`.

    sources: what scripts may use besides, after a space.
    """
    allowed = [f"{kind}-src '{_source_hash(source)}'" for kind, source in (("style", style), ("script", script))]
    return "; ".join(
        filter(None, ["default-src 'none'", *allowed[:1], allowed[1] + sources, more, "base-uri 'none'", "form-action 'none'"])
    )


def _source_hash(source: str) -> str:
    return f"sha256-{b64encode(sha256(source.encode()).digest()).decode('ascii')}"

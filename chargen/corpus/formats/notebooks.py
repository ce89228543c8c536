"""Read Jupyter notebooks."""

import json
from typing import Any


def notebook_text(text: str) -> str:
    """Return the text and code cells of a notebook, with a blank line between.

    Raises ValueError if the text is not a notebook.
    """
    try:
        value = json.loads(text.removeprefix("\ufeff"))
    except RecursionError:
        raise ValueError("its JSON is nested too deeply") from None
    cells = _cells(value)
    if cells is None:
        raise ValueError("its JSON has no cells")
    sources = ["".join(filter(_is_text, cell["source"])) for cell in cells if isinstance(cell.get("source"), str | list)]
    joined = "\n\n".join(source.strip("\n") for source in sources if source.strip())
    return joined.encode("utf-8", "replace").decode("utf-8")


def _cells(value: Any) -> list[dict[str, Any]] | None:
    cells = value.get("cells") if isinstance(value, dict) else None
    if cells is None and isinstance(value, dict) and isinstance(value.get("worksheets"), list):  # notebooks from before 2014
        cells = [cell for sheet in value["worksheets"] if isinstance(sheet, dict) for cell in sheet.get("cells") or []]
    return [cell for cell in cells if isinstance(cell, dict)] if isinstance(cells, list) else None


def _is_text(part: Any) -> bool:
    return isinstance(part, str)

"""Show the notebooks as pages of the manual: their text, their code, and the outputs of their execution."""

import json
from collections.abc import Iterator, Mapping
from html import escape
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "notebooks"


def on_files(files: Any, config: Any) -> Any:
    """Add a page for each notebook."""
    from mkdocs.structure.files import File

    for path, content in notebook_pages().items():
        files.append(File.generated(config, path, content=content))
    return files


def notebook_pages() -> dict[str, str]:
    """Return the pages of all notebooks in Markdown, by path."""
    return {f"notebooks/{path.stem}.md": _page(path) for path in sorted(FOLDER.glob("*.ipynb"))}


def _page(path: Path) -> str:
    """Return a notebook in Markdown, with a link to its file below the title."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    title, _, introduction = _text(cells[0]["source"]).partition("\n")
    link = f"[Download this notebook]({path.name}); [how to run it](index.md)."
    return "\n\n".join([title, link, introduction, *(part for cell in cells[1:] for part in _cell(cell))]) + "\n"


def _cell(cell: Mapping[str, Any]) -> Iterator[str]:
    """Yield the parts of a cell in Markdown."""
    if cell["cell_type"] == "markdown":
        yield _text(cell["source"])
        return
    yield _fenced(_text(cell["source"]), "python")
    yield from map(_output, cell["outputs"])


def _output(output: Mapping[str, Any]) -> str:
    """Return the richest form of an output; HTML is one block without empty lines, which would end it in Markdown."""
    data = output.get("data", {})
    if "image/png" in data:
        picture = f"data:image/png;base64,{''.join(data['image/png'].split())}"
        return f'<p><img alt="{escape(_text(data["text/plain"]))}" src="{picture}"></p>'
    if "text/html" in data:
        return f'<div class="notebook-output">{_text(data["text/html"]).replace(chr(10), "&#10;")}</div>'
    return _fenced(_text(output.get("text", data.get("text/plain", ""))), "text")


def _fenced(text: str, language: str) -> str:
    return f"````{language}\n{text.rstrip()}\n````"


def _text(lines: str | list[str]) -> str:
    """Return a text, which a notebook stores as it is or in lines."""
    return "".join(lines)

"""Show doctests in docstrings as code blocks: mkdocstrings reads docstrings as Markdown, in which >>> begins a quotation."""

from typing import Any

import griffe


class Fencing(griffe.Extension):
    """Put each paragraph of a docstring that begins with >>> into a code block."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Change the docstring of an object after it is loaded."""
        if obj.docstring:
            obj.docstring.value = "\n\n".join(map(_fenced, obj.docstring.value.split("\n\n")))


def _fenced(paragraph: str) -> str:
    return f"```pycon\n{paragraph}\n```" if paragraph.startswith(">>>") else paragraph

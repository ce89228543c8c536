"""Extract the text of HTML.

The time of the standard library's parser grows with the square of a hostile page's length. So tags are found here by searching
for their end, and each position is searched once.
"""

import re
from html import unescape

_PARAGRAPHS = frozenset(
    (
        *("p", "h1", "h2", "h3", "h4", "h5", "h6", "blockquote", "pre", "ul", "ol", "dl"),
        *("table", "figure", "article", "section", "header", "footer", "main", "aside", "hr", "address", "fieldset"),
    )
)
_LINES = frozenset((*("br", "div", "li", "tr", "dt", "dd", "figcaption", "caption", "option", "form", "title"),))
_SKIPPED = frozenset(
    (
        *("script", "style", "head", "noscript", "template", "svg", "math", "iframe", "object", "nav", "select", "button"),
        *("textarea",),
    )
)
_RAW = frozenset(("script", "style", "textarea"))  # which contain no tags except their end tag
_NAME = re.compile(r"/?([a-zA-Z][a-zA-Z0-9:-]*)")
_SPACES = re.compile(r"[ \t\n\r\f]+")


def html_text(page: str) -> str:
    """Return the text of a page without scripts, styles and navigation, with a blank line between paragraphs.

    >>> html_text("<head><title>x</title></head><p>Tom &amp; <b>Ada</b><p>went<br>home")
    'Tom & Ada\\n\\nwent\\nhome'
    """
    builder = _TextBuilder()
    position = 0
    while (start := page.find("<", position)) >= 0:
        builder.add(page[position:start])
        position = _after_markup(page, start, builder)
    builder.add(page[position:])
    return builder.text()


class _TextBuilder:
    """Builds the text of a page and tracks the open elements."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._skipped: list[str] = []
        self._breaks = 0  # line ends before the next text
        self._space = False
        self._verbatim = 0
        self.missing: set[str] = set()  # ends of markup that do not occur in the rest of the page

    def add(self, text: str) -> None:
        """Add the text between two tags."""
        if self._skipped or not text:
            return
        if self._verbatim:
            self._write(unescape(text))
            return
        text = _SPACES.sub(" ", unescape(text))
        if bare := text.strip(" "):
            self._space |= text[0] == " "
            self._write((" " if self._space and not self._breaks and self._parts else "") + bare)
            self._space = text[-1] == " "
        elif text:
            self._space = True

    def _write(self, text: str) -> None:
        if self._parts and self._breaks:
            self._parts.append("\n" * self._breaks)
        self._breaks = 0
        self._parts.append(text)

    def tag(self, name: str, *, ends: bool) -> None:
        """Process a tag."""
        if self._skipped:
            if ends and name == self._skipped[-1]:
                self._skipped.pop()
            elif not ends and name in _SKIPPED:
                self._skipped.append(name)
            elif name == "body":
                self._skipped.clear()
        elif name in _SKIPPED and not ends:
            self._skipped.append(name)
        elif name in _PARAGRAPHS:
            self._breaks = max(self._breaks, 2)
            self._verbatim = max(0, self._verbatim + (-1 if ends else 1)) if name == "pre" else self._verbatim
        elif name in _LINES and not (ends and name == "br"):
            self._breaks = max(self._breaks, 1)
        elif name in ("td", "th") and not ends:
            self._space = True

    def text(self) -> str:
        """Return the whole text."""
        return "".join(self._parts).strip("\n")


def _after_markup(page: str, start: int, builder: _TextBuilder) -> int:
    """Process the markup that begins at a "<", and return the position after it."""
    if page.startswith("<!--", start):
        return _after(page, "-->", start + 4, builder)
    if page.startswith(("<!", "<?"), start):
        return _after(page, ">", start + 2, builder)
    found = _NAME.match(page, start + 1)
    if not found:
        builder.add("<")
        return start + 1
    name, ends = found[1].lower(), page[start + 1] == "/"
    position = _after_attributes(page, found.end(), builder)
    builder.tag(name, ends=ends)
    if name in _RAW and not ends:
        closing = re.compile(f"</{name}", re.IGNORECASE).search(page, position) if f"</{name}" not in builder.missing else None
        if closing is None:
            builder.missing.add(f"</{name}")
            return position
        return closing.start()
    return position


def _after_attributes(page: str, position: int, builder: _TextBuilder) -> int:
    """Return the position after the ">" that ends a tag; a quoted attribute may contain ">" too."""
    while (end := _find(page, ">", position, builder)) >= 0:
        quotes = [at for mark in "\"'" if (at := page.find(mark, position, end)) >= 0]
        closing = _find(page, page[min(quotes)], min(quotes) + 1, builder) if quotes else -1
        if closing < 0:
            return end + 1
        position = closing + 1
    return len(page)


def _find(page: str, mark: str, position: int, builder: _TextBuilder) -> int:
    """Return the next position of a mark, or -1; do not search again for a mark that was not found once."""
    if mark in builder.missing:
        return -1
    found = page.find(mark, position)
    if found < 0:
        builder.missing.add(mark)
    return found


def _after(page: str, mark: str, position: int, builder: _TextBuilder) -> int:
    found = _find(page, mark, position, builder)
    return len(page) if found < 0 else found + len(mark)

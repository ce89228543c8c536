"""Self-contained pages: their content, and that no text becomes markup."""

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from typing import Any, NamedTuple

import numpy as np
import pytest

from chargen.inline import FOLDER
from chargen.pages.page import PAGES, escaped, make_page, packed
from chargen.pages.surprise import surprise_page
from chargen.pages.units import units_page
from chargen.terminal import ACTIVE

HOSTILE = (
    "</script><script>alert(1)</script>",
    "<!--<script>",
    "'\"><img src=x onerror=alert(2)>",
    "&lt;b&gt;]]>",
    "\x00\x1b[31m\x9b\u202e\ud800\x7f\r",
    "\u2028\u2029\\u003c/script>",
)


class Line(NamedTuple):
    number: int
    start: int
    stop: int


class Reader(HTMLParser):
    """Collects the tags of a page, its text outside of script and style, and the content of these."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.inline: dict[str, list[str]] = {"script": [], "style": []}
        self.text = ""
        self._within: str | None = None
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._within = tag if tag in self.inline else None
        if self._within:
            self.inline[tag].append("")

    def handle_endtag(self, tag: str) -> None:
        self._within = None

    def handle_data(self, data: str) -> None:
        if self._within:
            self.inline[self._within][-1] += data
        else:
            self.text += data

    @property
    def data(self) -> dict[str, Any]:
        return json.loads(self.inline["script"][1])


def a_surprise_page(pieces: list[str], name: str = "a.txt") -> str:
    count = len(pieces)
    return surprise_page(
        title=name,
        run=name,
        pieces=pieces,
        lines=[Line(1, 0, count)],
        bits=np.arange(count) / 4,
        choices=np.arange(count * 2).reshape(count, 2) % (count + 1),
        chances=np.full((count, 2), 0.25),
        names=[None, *pieces],
        worst=[(Line(1, 0, count), 2.5)],
        bits_per_character=1.5,
    )


def a_units_page(pieces: list[str], name: str = "a.txt", *, chosen: int | None = None, most_bytes: int = 1 << 20) -> str:
    return units_page(
        title=name,
        run=name,
        pieces=pieces,
        lines=[Line(1, 0, len(pieces))],
        units=[(1, 1, "hidden"), (1, 2, "hidden"), (1, 1, "cell")],
        values=np.linspace(-1, 1, 3 * len(pieces), dtype=np.float32).reshape(3, -1),
        correlations={"quotes": np.array([0.1, -0.9, 0.2]), "words": np.array([0.3, 0.0, 0.2])},
        chosen=chosen,
        most_bytes=most_bytes,
    )


def unpacked(text: str, dtype: type) -> list[int]:
    return np.frombuffer(base64.b64decode(text), np.dtype(dtype).newbyteorder("<")).tolist()


@pytest.mark.parametrize("make", [a_surprise_page, a_units_page])
def test_no_text_becomes_markup(make: Any) -> None:
    harmless, hostile = Reader(make(["a"] * len(HOSTILE))), Reader(make(list(HOSTILE), name="".join(HOSTILE)))
    assert [tag for tag, _ in hostile.tags] == [tag for tag, _ in harmless.tags]
    assert hostile.inline["style"] == harmless.inline["style"]
    assert hostile.inline["script"][::2] == harmless.inline["script"][::2]
    assert not ACTIVE.search(make(list(HOSTILE), name="".join(HOSTILE)))
    shown = hostile.text
    assert "</script><script>alert(1)</script>" in shown
    assert "\u2400\u241b[31m" in shown
    for texts in (hostile.data["tokens"], hostile.data.get("names", [])):
        assert not ACTIVE.search("".join(filter(None, texts)))


@pytest.mark.parametrize("make", [a_surprise_page, a_units_page])
def test_a_page_stands_alone_and_may_ask_for_nothing(make: Any) -> None:
    page = Reader(make(["a", "b"]))
    policy = next(attributes["content"] or "" for tag, attributes in page.tags if "http-equiv" in attributes)
    directives = dict(one.strip().split(" ", 1) for one in policy.split(";"))
    assert directives["default-src"] == "'none'"
    theme, _, script = page.inline["script"]
    for kind, sources in (("style", page.inline["style"]), ("script", [theme, script])):
        digests = [base64.b64encode(hashlib.sha256(source.encode()).digest()).decode() for source in sources]
        assert directives[f"{kind}-src"] == " ".join(f"'sha256-{digest}'" for digest in digests)
    assert not {"link", "img", "iframe", "object", "form", "base"} & {tag for tag, _ in page.tags}
    for tag, attributes in page.tags:
        assert not [name for name in attributes if name.startswith("on") or name in ("style", "src")]
        assert (attributes.get("href") or "#").startswith("#"), tag
    assert len(page.inline["script"]) == 3


def test_style_and_script_cannot_end_early_and_load_nothing() -> None:
    for path in [*PAGES.iterdir(), FOLDER / "theme.css", FOLDER / "theme.js"]:
        source = path.read_text(encoding="utf-8")
        assert "</" not in source
        assert "<!--" not in source
        assert not re.search(r"https?:|url\(|@import|innerHTML|outerHTML|insertAdjacent|eval\(|Function\(|fetch\(", source)


def test_what_the_surprise_page_tells() -> None:
    page = Reader(a_surprise_page(["a", "\n", "<"]))
    data = page.data
    assert data["names"] == [None, "a", "\n", "<"]
    assert unpacked(data["bits"], np.uint16) == [0, 25, 50]
    assert (data["width"], data["size"], data["choiceSize"]) == (2, 1, 1)
    assert data["tokens"] == ["a", "\n", "<"]
    assert unpacked(data["ids"], np.uint8) == [0, 1, 2]
    assert (unpacked(data["starts"], np.uint32), unpacked(data["numbers"], np.uint32)) == ([0], [1])
    assert unpacked(data["choices"], np.uint8) == [0, 1, 2, 3, 0, 1]
    assert unpacked(data["chances"], np.uint16) == [2500] * 6
    levels = [attributes["class"] for tag, attributes in page.tags if tag == "i" and "class" in attributes]
    assert levels == [f"s{level}" for level in range(8)]


def test_a_page_of_many_tokens() -> None:
    pieces = [f"{number}," for number in range(400)]
    data = Reader(a_surprise_page(pieces)).data
    assert (data["size"], data["choiceSize"]) == (2, 2)
    assert unpacked(data["ids"], np.uint16)[-1] == 399
    assert unpacked(data["choices"], np.uint16)[:3] == [0, 1, 2]
    assert data["most"] == 14  # of words, with more bits each
    assert unpacked(data["bits"], np.uint16)[-1] == 9975


def test_what_the_units_page_tells() -> None:
    data = Reader(a_units_page(["a", "b"])).data
    assert data["units"] == [[1, 2, "hidden"], [1, 1, "hidden"], [1, 1, "cell"]]  # the best for any property first
    assert data["correlations"] == [[-0.9, 0.0], [0.1, 0.3], [0.2, 0.2]]
    assert unpacked(data["values"], np.uint8) == [102, 152, 0, 51, 203, 254]
    assert [mean for mean, _ in data["summaries"]] == pytest.approx([0, -0.8, 0.8], abs=1e-3)
    assert Reader(a_units_page(["a", "b"], chosen=2)).data["units"][0] == [1, 1, "cell"]


def test_a_units_page_holds_as_much_as_it_may() -> None:
    page = Reader(a_units_page(["a", "b"], most_bytes=5))
    assert len(page.data["units"]) == 2
    assert "the 2 best of 3" in page.text
    assert len(Reader(a_units_page(["a", "b"], most_bytes=1)).data["units"]) == 1


def test_escaping() -> None:
    assert escaped("<&>\"'") == "&lt;&amp;&gt;&quot;&#x27;"
    assert packed(np.array([1, 258], np.uint16)) == base64.b64encode(b"\x01\x00\x02\x01").decode()
    page = make_page(["surprise"], title="</title><b>", body="", data={"a": "</script>\u2028\ud800"})
    assert page.count("</title>") == 1
    assert Reader(page).data == {"a": "</script>\u2028\ud800"}

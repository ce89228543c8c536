"""The pages of a coloured text in a browser: long texts, the cursor, the threshold, the overview, and no markup from a text."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chargen.pages.surprise import surprise_page
from chargen.pages.units import units_page
from tests.export.pages import reload_until, wait_until
from tests.pages.test_page import HOSTILE, Line, a_surprise_page, a_units_page

Open = Callable[[str], Any]
PAGES = pytest.mark.parametrize("make", [a_surprise_page, a_units_page])


@pytest.fixture
def open_page(browser: Any, tmp_path: Path) -> Iterator[Open]:
    """Open a page; later check that there were no errors, dialogs and requests."""
    odd: list[str] = []
    context = browser.new_context(viewport={"width": 1280, "height": 800}, color_scheme="light")

    def open_it(html: str) -> Any:
        path = tmp_path / "page.html"
        path.write_text(html, encoding="utf-8")
        page = context.new_page()
        page.on("pageerror", lambda error: odd.append(str(error)))
        page.on("dialog", lambda dialog: odd.append(dialog.message))
        page.on("request", lambda one: None if one.url.endswith("/page.html") else odd.append(one.url))
        page.goto(path.as_uri())
        return page

    yield open_it
    context.close()
    assert odd == []


def lines_of(text: str) -> list[Line]:
    lines, start = [], 0
    for number, line in enumerate(text.splitlines(keepends=True), start=1):
        lines.append(Line(number, start, start + len(line)))
        start += len(line)
    return lines


def long_surprise_page(text: str) -> str:
    """Return the page of a text in which each "x" has 6.5 bits and every other character 0.5."""
    count, names = len(text), [None, *sorted(set(text))]
    return surprise_page(
        title="long",
        run="run",
        pieces=list(text),
        lines=lines_of(text),
        bits=np.where(np.array(list(text)) == "x", 6.5, 0.5),
        choices=np.tile([names.index(text[0]), names.index("x"), 0], (count, 1)),
        chances=np.tile([0.6, 0.25, 0.15], (count, 1)),
        names=names,
        worst=[(lines_of(text)[-1], 1.25)],
        bits_per_character=0.6,
    )


LONG = "".join(f"this is line {number} of a story{'x' if number % 1000 == 0 else ''}\n" for number in range(1, 5001))


def coloured(page: Any, kind: str) -> list[str]:
    return page.locator(f"#text i.{kind}").all_inner_texts()


def wait_for_colours(page: Any) -> None:
    wait_until(page, "!reader.asked && !overview.asked && reader.near.size > 0")


def test_all_of_a_long_text_is_there_with_elements_for_what_is_on_the_screen(open_page: Open) -> None:
    page = open_page(long_surprise_page(LONG))
    wait_for_colours(page)
    assert "\n".join(page.evaluate("[...document.querySelectorAll('#text p')].map((one) => one.textContent)")) + "\n" == LONG
    assert 0 < page.locator("#text i").count() < 10_000 < len(LONG)
    page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
    letters = "[...document.querySelectorAll('#text p')].at(-1).querySelectorAll('i').length"
    wait_until(page, f"{letters} === {len('this is line 5000 of a storyx') + 1}")
    assert page.locator("#text p").first.locator("i").count() == 0
    assert page.locator("#text p").last.get_attribute("data-line") == "5000"


def test_a_line_of_many_characters_is_shown_in_parts(open_page: Open) -> None:
    page = open_page(long_surprise_page("many words " * 400 + "x\n"))
    parts = page.evaluate("[...document.querySelectorAll('#text p')].map((one) => [one.textContent, one.dataset.line ?? null])")
    assert "".join(text for text, _ in parts) == "many words " * 400 + "x"
    assert [line for _, line in parts] == ["1", *[None] * (len(parts) - 1)]
    assert all(text.endswith(" ") and 500 <= len(text) <= 1000 for text, _ in parts[:-1])


def test_the_threshold_uncolours_what_is_below_and_n_finds_what_is_above(open_page: Open) -> None:
    page = open_page(long_surprise_page("ax" + LONG))
    page.locator("#threshold").fill("6")
    assert page.locator("#count").inner_text() == f"6 of {len(LONG) + 2:,} tokens"
    wait_for_colours(page)
    assert coloured(page, "s6") == ["x"]
    page.locator("#threshold").fill("7")
    assert coloured(page, "s6") == []
    page.locator("#threshold").fill("6")
    page.locator("#text").focus()
    for number in (0, 1000, 2000):
        page.keyboard.press("n")
        assert page.locator("#text i.on").inner_text() == "x"
        assert page.evaluate("reader.numbers[above(reader.starts, reader.current) - 1]") == max(1, number)
        box = page.locator("#text i.on").bounding_box()
        assert 0 <= box["y"] < 800
    page.get_by_role("button", name="Previous").click()
    assert page.evaluate("reader.numbers[above(reader.starts, reader.current) - 1]") == 1000


def test_the_card_of_a_token(open_page: Open) -> None:
    page = open_page(long_surprise_page("ax" + LONG))
    page.locator("#text").focus()
    for _ in range(2):
        page.keyboard.press("ArrowRight")
    card = page.locator("#panel").inner_text()
    assert "6.50 bits" in card
    assert "Line 1, column 2; the second most probable." in card
    assert "x occurs 6 times, with 6.50 bits on average" in card
    rows = [" ".join(one.split()) for one in page.locator("#panel .bars li").all_inner_texts()]
    assert rows == ["a 60.0%", "x 25.0%", "(end) 15.0%"]
    assert page.locator("#panel .own").inner_text().startswith("x")


def test_keys_move_the_cursor(open_page: Open) -> None:
    page = open_page(long_surprise_page(LONG))
    page.locator("#text").focus()
    for key, place in (("ArrowDown", 0), ("ArrowRight", 1), ("ArrowDown", 1 + LONG.index("\n") + 1), ("ArrowUp", 1)):
        page.keyboard.press(key)
        assert page.evaluate("reader.current") == place
    page.keyboard.press("End")
    assert page.evaluate("reader.current") == len(LONG) - 1
    assert page.locator("#text i.on").bounding_box()["y"] < 800
    page.keyboard.press("Home")
    assert page.evaluate("scrollY") < 400


def test_the_pointer_shows_the_card(open_page: Open) -> None:
    page = open_page(long_surprise_page(LONG))
    wait_for_colours(page)
    page.locator("#text i").nth(5).hover()
    assert page.evaluate("reader.current") == 5
    page.get_by_role("link", name="Line 5,000").click()
    assert page.evaluate("reader.current") == LONG.rindex("this")
    assert page.locator("#text i.on").bounding_box()["y"] < 800


def test_the_overview_goes_to_a_part_of_the_text(open_page: Open) -> None:
    page = open_page(long_surprise_page(LONG))
    wait_for_colours(page)
    box = page.locator("#map").bounding_box()
    page.mouse.click(box["x"] + 5, box["y"] + 0.5 * box["height"])
    shown = "Number(document.getElementById('map').getAttribute('aria-valuenow'))"
    wait_until(page, f"2350 < {shown} && {shown} < 2600")
    page.locator("#map").focus()
    page.keyboard.press("Home")
    wait_until(page, f"{shown} === 1")
    page.keyboard.press("PageDown")
    wait_until(page, f"400 < {shown} && {shown} < 700")


def test_the_overview_has_a_point_for_each_coloured_letter(open_page: Open) -> None:
    page = open_page(long_surprise_page("aax\n" * 10))
    heights = page.evaluate("Array.from(overview.points(200)).map((heat) => (Number.isNaN(heat) ? null : heat))")
    table = np.array(heights, float).reshape(200, 80)
    assert np.nanmax(table[:, 2]) == pytest.approx(6.5 / 7, abs=1e-3)
    assert table[:10, :2].max() == 0  # too few bits for a colour
    assert np.isnan(table[10:]).all()


def test_colours_of_a_long_text_over_a_units_own_range(open_page: Open) -> None:
    """So many values are too many arguments for a JavaScript function."""
    page = open_page(a_units_page(["a"] * 150_000))
    page.locator("#span").check()
    wait_for_colours(page)
    assert page.evaluate("[reader.heatAt(0), reader.heatAt(149999)].map((one) => reader.levelName(one))") == ["b7", "s7"]
    assert page.locator("#text i").first.get_attribute("class") == "b7"


def test_the_card_of_a_unit(open_page: Open) -> None:
    text = 'a "b" c\n' * 5
    quoted = np.array([character in '"b' for character in text])
    page = open_page(
        units_page(
            title="text",
            run="run",
            pieces=list(text),
            lines=lines_of(text),
            units=[(1, 1, "hidden"), (1, 2, "hidden")],
            values=np.array([np.where(quoted, 0.5, -0.5), np.where(quoted, 0.1, 0.0)], np.float32),
            correlations={"quotes": np.array([1.0, 0.5])},
            chosen=None,
            most_bytes=1 << 20,
        )
    )
    wait_for_colours(page)
    card = page.locator("#panel").inner_text()
    assert "unit 1, hidden" in card
    assert "+1.00" in card
    assert page.locator(".tokens").first.locator("kbd").all_inner_texts()[:2] in (['"', "b"], ["b", '"'])
    assert coloured(page, "s3") == ['"', "b", '"'] * 5
    assert set(coloured(page, "b3")) == {"a", " ", "c", ""}
    page.locator("#units").focus()
    page.keyboard.press("ArrowDown")
    assert "unit 2, hidden" in page.locator("#panel").inner_text()
    assert coloured(page, "s3") == []
    page.locator("#text i").nth(3).hover()
    assert page.locator("#panel h2").first.inner_text().split() == ["b", "+0.10"]
    page.get_by_role("button", name="unit 1, hidden").click()
    assert page.locator("#panel h2").first.inner_text().split() == ["b", "+0.50"]


@PAGES
def test_no_text_becomes_markup_in_the_browser(make: Any, open_page: Open) -> None:
    page = open_page(make([*HOSTILE, "\n"], name="".join(HOSTILE)))
    wait_for_colours(page)
    for place in range(len(HOSTILE)):
        page.evaluate(f"reader.go({place})")
    assert page.locator("img, #text script, #panel script").count() == 0
    assert "<img src=x onerror=alert(2)>" in page.locator("#text").inner_text()


@PAGES
def test_the_theme_is_that_of_the_other_pages(make: Any, open_page: Open) -> None:
    page = open_page(make(list("The cat sat.")))
    light = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.get_by_role("button", name="Dark").click()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != light
    reload_until(page, "document.documentElement.dataset.theme === 'dark'")
    assert page.evaluate("colourOf('ground')") == page.evaluate("getComputedStyle(document.body).backgroundColor")


@pytest.mark.parametrize("width", [320, 390, 900])
@PAGES
def test_narrow_screens_show_text_overview_and_card(make: Any, width: int, open_page: Open) -> None:
    page = open_page(make(list("The cat sat on a mat.\n" * 200)))
    page.set_viewport_size({"width": width, "height": 800})
    page.evaluate("reader.go(2000, { centred: true })")
    wait_for_colours(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    cell, card, overview = (page.locator(one).bounding_box() for one in ("#text i.on", "#panel", "#map"))
    for box in (cell, card, overview):
        assert 0 <= box["y"] < 800
        assert box["x"] + box["width"] <= width
    assert card["y"] >= cell["y"] + cell["height"] or card["x"] >= cell["x"] + cell["width"]  # the card does not cover the text

"""Every page passes axe-core's checks, light and dark, on a desktop and on a phone; borders and bars have enough contrast."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from chargen.corpus.vocabulary import CharacterVocabulary
from chargen.export.single_page import make_page
from chargen.inline import FOLDER
from chargen.pages.notebook import COLOURS
from chargen.settings.schema import NetworkConfig
from tests.export.forms import make_model
from tests.export.pages import begin, wait_until, write
from tests.pages.test_page import a_surprise_page, a_units_page

LSTM = NetworkConfig(hidden_size=5, embedding_size=4)
PROSE = "the cat sat on the mat.\nthe dog sat on the log.\n" * 24
SIZES = {"desktop": (1280, 900), "phone": (390, 844)}


@pytest.fixture(scope="module")
def axe() -> str:
    """Return the program of axe-core."""
    package = pytest.importorskip("axe_playwright_python", reason="axe-core is missing: pip install axe-playwright-python")
    return (Path(package.__file__).parent / "axe.min.js").read_text(encoding="utf-8")


@pytest.fixture
def problems(browser: Any, axe: str) -> Iterator[Callable[..., list[str]]]:
    """Return a function that lists what axe-core finds in a page of HTML, once something has been done in it."""
    page = browser.new_page()

    def find(path: Path, do: Callable[[Any], None] = lambda page: None) -> list[str]:
        found = []
        page.goto(path.as_uri())
        do(page)
        page.evaluate(axe)
        for size, (width, height) in SIZES.items():
            page.set_viewport_size({"width": width, "height": height})
            for scheme in ("light", "dark"):
                page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
                for one in page.evaluate("axe.run({ preload: false })")["violations"]:
                    nodes = "; ".join(f"{node['html'][:80]} {node['failureSummary']}" for node in one["nodes"][:3])
                    found.append(f"{size}, {scheme}: {one['id']}: {nodes}")
        return found

    yield find
    page.close()


def written(page: Any) -> None:
    page.locator(".more summary").click()
    page.locator("#length").fill("60")  # axe-core is slow with many elements
    begin(page, "ab", temperature="1")
    write(page, 60)
    page.get_by_role("switch", name="Show surprise").check()
    page.locator("#text").focus()
    page.keyboard.press("ArrowLeft")
    wait_until(page, "manuscript.known?.at === cursor")


@pytest.mark.parametrize("do", [lambda page: wait_until(page, "manuscript.ready"), written], ids=["at first", "written"])
@pytest.mark.parametrize("lines", [False, True], ids=["prose", "names"])
def test_writing(lines: bool, do: Callable[[Any], None], problems: Callable[..., list[str]], tmp_path: Path) -> None:
    fields: dict[str, Any] = {"reading": "line", "primer": (0,), "ends": True} if lines else {}
    model = make_model(LSTM, vocabulary=CharacterVocabulary("abc \n", ["x", "y"] if lines else ()), **fields)
    path = tmp_path / "page.html"
    path.write_text(make_page(model, "float32", lines=["a"]), encoding="ascii")
    assert problems(path, do) == []


@pytest.mark.parametrize(
    "do", [lambda page: None, lambda page: page.evaluate("reader.go(40)")], ids=["at first", "with a card"]
)
@pytest.mark.parametrize("make", [a_surprise_page, a_units_page])
def test_surprise_and_units(make: Any, do: Callable[[Any], None], problems: Callable[..., list[str]], tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text(make(list(PROSE[:96])), encoding="utf-8")
    assert problems(path, do) == []


def test_report(problems: Callable[..., list[str]], invoke: Any, in_folder: Path) -> None:
    (in_folder / "prose.txt").write_text(PROSE, encoding="utf-8")
    small = ("--hidden-size", 4, "--embedding", 3, "--context-length", 8, "--backend", "numpy", "--epochs", 3, "-q")
    assert invoke("train", "prose.txt", *small).exit_code == 0
    assert invoke("report", "--output", "report.html", "-q").exit_code == 0
    assert problems(in_folder / "report.html") == []


def colours(scheme: str) -> dict[str, str]:
    """Return the colours of all pages by name."""
    pairs = re.findall(
        r"--([\w-]+): light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\);", (FOLDER / "theme.css").read_text(encoding="ascii")
    )
    return {name: light if scheme == "light" else dark for name, light, dark in pairs}


def luminance(colour: str) -> float:
    """Return the relative luminance of WCAG 2.2."""
    shares = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in shares)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    darker, lighter = sorted(map(luminance, (one, other)))
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_borders_and_bars_have_contrast(scheme: str) -> None:
    """Non-text contrast of WCAG 2.2, 1.4.11; axe-core does not measure it."""
    known = colours(scheme)
    for ground in ("ground", "paper"):
        for name in ("edge", "fill", "accent", *(f"curve-{number}" for number in range(6))):
            assert contrast(known[name], known[ground]) >= 3, (name, ground)


@pytest.mark.parametrize("ground", ["#ffffff", "#111111"])
def test_curves_of_notebooks_have_contrast_on_light_and_dark(ground: str) -> None:
    assert min(contrast(colour, ground) for colour in COLOURS.values()) >= 3

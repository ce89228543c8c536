"""Measure how fast an exported page writes in headless Chromium, with all that it shows."""

import re
import tempfile
from pathlib import Path
from shutil import which
from statistics import median
from typing import Any

from benchmarks.models import random_model
from chargen.export.single_page import make_page

Rows = list[dict[str, Any]]

SIZES = (128, 512)
REPETITIONS = 3
SECONDS = 4  # of writing, at most; a page stops after 10,000 characters
NO_LIMIT = "4"  # of the page's choices of speed, the last one
FRAMES = """() => {
  window.longest = 0;
  let last = performance.now();
  const measure = () => {
    const now = performance.now();
    if (writing) longest = Math.max(longest, now - last);
    last = now;
    requestAnimationFrame(measure);
  };
  measure();
}"""


def measure() -> Rows:
    """Return characters a second, and the longest frame in milliseconds, of LSTMs of one layer. Needs Chromium."""
    from playwright.sync_api import sync_playwright

    rows: Rows = []
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        browser = playwright.chromium.launch(executable_path=which("chromium"), args=["--no-sandbox", "--disable-gpu"])
        for size in SIZES:
            path = Path(folder, f"{size}.html")
            path.write_text(make_page(random_model(num_layers=1, hidden_size=size), "float32"), encoding="utf-8")
            speeds, frames = zip(*[_written(browser.new_page(), path) for _ in range(REPETITIONS)], strict=True)
            rows.append(_row(f"exported page, LSTM 1x{size}, writing at no limit", "chars/s", speeds))
            rows.append(_row(f"exported page, LSTM 1x{size}, longest frame", "ms", frames))
        browser.close()
    return rows


def _written(page: Any, path: Path) -> tuple[float, float]:
    """Let a page write, and return its characters a second and the longest frame in milliseconds."""
    page.goto(path.as_uri())
    page.locator("#write").wait_for()
    page.wait_for_timeout(2000)  # until the samples that it shows at once are written
    page.locator("#pace").fill(NO_LIMIT)
    page.evaluate(FRAMES)
    page.locator("#write").click()
    page.wait_for_timeout(1000 * SECONDS)
    page.keyboard.press("Escape")
    page.wait_for_timeout(300)
    found = re.search(r"([\d,]+) a second", page.locator("#note").inner_text())
    longest = page.evaluate("longest")
    page.close()
    if found is None:
        raise RuntimeError("the page shows no speed")
    return float(found[1].replace(",", "")), float(longest)


def _row(what: str, unit: str, values: tuple[float, ...]) -> dict[str, Any]:
    return {"what": what, "unit": unit, "median": median(values), "min": min(values), "max": max(values)}

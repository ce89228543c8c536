"""Helpers for tests of the exported and the served page: watch a browser, and write in it."""

from collections.abc import Callable
from typing import Any

AS_FAST_AS_IT_CAN = "4"


def watch(page: Any, odd: list[str], *, is_expected: Callable[[str], bool]) -> None:
    """Record dialogs, errors, console output, and requests to unexpected addresses."""
    page.set_default_timeout(10_000)
    page.on("request", lambda one: None if is_expected(one.url) else odd.append(f"request {one.url}"))
    page.on("dialog", lambda dialog: odd.append(f"dialog {dialog.message}"))
    page.on("console", lambda message: odd.append(f"console {message.text}"))
    page.on("pageerror", lambda error: odd.append(f"error {error}"))


def wait_until(page: Any, condition: str) -> None:
    """Wait until an expression is true.

    Playwright's own function evaluates a string in the page, which the page's policy forbids.
    """
    for _ in range(1000):
        if page.evaluate(condition):
            return
        page.wait_for_timeout(10)
    raise AssertionError(f"never {condition}")


def reload_until(page: Any, condition: str) -> None:
    """Reload a page, again if necessary, until an expression is true of what it has stored.

    A browser writes what a page stores in another process, and a page that is loaded at once may read what was there before.
    """
    for _ in range(100):
        page.reload()
        if page.evaluate(condition):
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"never {condition}")


def begin(page: Any, prompt: str, temperature: str = "0") -> None:
    page.locator("#pace").fill(AS_FAST_AS_IT_CAN)
    page.locator("#temperature").fill(temperature)
    page.locator("#prompt").fill(prompt)
    wait_until(page, "!unread && manuscript.ready")


def write(page: Any, tokens: int) -> str:
    """Let the page write `count` tokens, or a few more, and return all text."""
    page.get_by_role("button", name="Write").click()
    wait_until(page, f"manuscript.drawn >= {tokens}")
    if page.evaluate("writing !== null"):
        page.keyboard.press("Escape")
    return text_of(page)


def text_of(page: Any) -> str:
    return page.evaluate("manuscript.pieces.map((piece) => piece.text).join('')")


def engine_of(page: Any) -> Any:
    """Return the worker of a page, in which `engine` is its network."""
    for _ in range(1000):
        if page.workers and page.workers[0].evaluate("engine !== null"):
            return page.workers[0]
        page.wait_for_timeout(10)
    raise AssertionError("no worker")

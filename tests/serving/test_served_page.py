"""The page that a server sends, in a browser: it writes with the API, and asks nobody else for anything."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import numpy as np
import pytest

from chargen.corpus.vocabulary import CharacterVocabulary
from chargen.corpus.words import WordVocabulary
from chargen.network.model_file import TextModel
from chargen.settings.schema import NetworkConfig
from chargen.writing.prediction import guesses, most_probable
from tests.export.forms import make_model
from tests.export.pages import begin, text_of, wait_until, watch, write
from tests.serving.served import Served, served
from tests.serving.test_server import BY_KIND, LINES, sampled

LSTM = NetworkConfig(hidden_size=5, embedding_size=4)

Open = Callable[..., tuple[Any, Served]]


@pytest.fixture
def open_page(browser: Any) -> Iterator[Open]:
    """Serve a model, and open its page. Afterwards it has asked nobody else, and there were no dialogs and no errors."""
    odd: list[str] = []
    with ExitStack() as stack:
        context = stack.enter_context(browser.new_context(viewport={"width": 1200, "height": 900}))

        def open_it(model: TextModel, **limits: Any) -> tuple[Any, Served]:
            server = stack.enter_context(served(model, **limits))
            page = stack.enter_context(context.new_page())
            watch(page, odd, is_expected=lambda url: url.startswith(server.url))
            page.goto(server.url)
            wait_until(page, "manuscript.ready")
            return page, server

        yield open_it
    assert odd == []


@BY_KIND
def test_it_writes_what_sample_writes(vocabulary: Any, prompt: str, open_page: Open) -> None:
    model = make_model(LSTM, vocabulary=vocabulary)
    page, _ = open_page(model)
    for given in ("", prompt):
        begin(page, given)
        expected = given + sampled(model, given, temperature=0.0, length=60)
        assert write(page, 60).startswith(expected.rstrip("\ufffd"))


@pytest.mark.parametrize("pace", ["1", "3"])
def test_stretches_join_at_every_pace(pace: str, open_page: Open) -> None:
    """Text is asked for by stretches; together they are what would have been written at once."""
    model = make_model(LSTM)
    page, _ = open_page(model)
    begin(page, "abc")
    page.locator("#pace").fill(pace)
    count = {"1": 100, "3": 2500}[pace]
    assert write(page, count).startswith("abc" + sampled(model, "abc", temperature=0.0, length=count))


def test_lines_begin_anew(open_page: Open) -> None:
    model = make_model(LSTM, vocabulary=CharacterVocabulary("abc"), **LINES)
    model.network.weights["output.bias"][0] = 3  # ends soon
    page, _ = open_page(model)
    begin(page, "b")
    lines = write(page, 40).split("\n")[:-1]
    assert len(lines) > 3
    assert set(lines) == {"b" + sampled(model, "b", temperature=0.0)}


@BY_KIND
def test_surprise_and_bars_are_what_next_shows(vocabulary: Any, prompt: str, open_page: Open) -> None:
    model = make_model(LSTM, vocabulary=vocabulary)
    page, _ = open_page(model)
    begin(page, prompt, temperature="1")
    ids = vocabulary.encode_prompt(prompt)
    best = most_probable(model, ids, 10)
    wait_until(page, f"rows[0].token === {best[0][0]} && manuscript.next.length > 0")
    assert page.evaluate("rows.filter((one) => !one.row.hidden).map((one) => one.token)") == [token for token, _ in best]
    assert page.locator("#next .share").first.inner_text() == f"{100 * best[0][1]:.1f}%"
    known = [-np.log2(one.probability) for one in guesses(model, ids) if one.token not in vocabulary.silent_ids]
    assert page.evaluate("manuscript.prompt.reduce((sum, { bits }) => sum + (bits || 0), 0)") == pytest.approx(
        sum(known), abs=1e-3
    )


def test_a_chosen_character_comes_next(open_page: Open) -> None:
    page, server = open_page(make_model(LSTM))
    begin(page, "ab", temperature="1")
    wait_until(page, "!rows[2].row.hidden")
    page.locator("#next button").nth(2).click()
    text = text_of(page)
    following = server.post("/api/next", {"text": "ab"}).json["next"]
    assert text == "ab" + following[2]["token"]
    wait_until(page, "manuscript.known?.version === manuscript.version")
    after = server.post("/api/next", {"ids": [1, 2, following[2]["id"]], "given": 2}).json["next"]
    assert page.evaluate("rows[0].token") == after[0]["id"]


def test_another_temperature_is_taken_at_once(open_page: Open) -> None:
    page, _ = open_page(make_model(LSTM))
    begin(page, "ab", temperature="2")
    page.locator("#pace").fill("2")
    page.get_by_role("button", name="Write").click()
    wait_until(page, "manuscript.drawn > 5")
    page.locator("#temperature").fill("0")
    wait_until(page, "manuscript.known?.temperature === 0")
    page.keyboard.press("Escape")
    assert page.evaluate("rows.filter((one) => !one.row.hidden).length") == 1


def test_labels_and_unknown_characters(open_page: Open) -> None:
    model = make_model(LSTM, vocabulary=CharacterVocabulary("abc", ["x", "y"]), **LINES)
    page, _ = open_page(model)
    page.get_by_label("In the style of").select_option("y")
    begin(page, "a\u00fcb<")
    wait_until(page, "manuscript.prompt.length === 2")
    assert page.get_by_role("status").inner_text() == "The network does not know \u00fc, < and leaves them out."
    assert write(page, 10).startswith("ab" + sampled(model.with_label("y"), "ab", temperature=0.0, length=10))


def test_stopping_ends_the_work_of_the_server(open_page: Open) -> None:
    page, server = open_page(make_model(LSTM), length=10_000_000)
    page.evaluate("described.limits.length = 10000000")
    begin(page, "ab")
    page.get_by_role("button", name="Write").click()
    wait_until(page, "manuscript.drawn > 5")
    page.keyboard.press("Escape")
    server.until(lambda: server.working == 0)


def test_no_text_of_a_model_becomes_markup(open_page: Open) -> None:
    nasty = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'`${alert(3)}{{script}}<!--<script>&lt;"
    words = WordVocabulary([nasty, "<b>bold</b>"], [nasty], num_characters=9)
    page, _ = open_page(make_model(LSTM, vocabulary=words, primer=(0,), provenance={"corpus": nasty}))
    assert page.locator("h1").inner_text() == nasty[:60]
    begin(page, nasty, temperature="1")
    page.get_by_role("switch", name="Show surprise").check()
    assert "<b>bold</b>" in write(page, 50)
    assert page.locator("b, img").count() == 0
    assert page.locator("script").count() == 3


def test_what_the_server_refuses_is_said(browser: Any) -> None:
    with served(make_model(LSTM)) as server:
        page = browser.new_page()
        page.goto(server.url)
        wait_until(page, "manuscript.ready")
        server.service.ending = True
        page.get_by_role("button", name="Write").click()
        wait_until(page, "writing === null")
        assert page.get_by_role("status").inner_text().startswith("The server answered: the server is stopping")
        page.locator("#prompt").fill("abc")
        wait_until(page, "!manuscript.ready && slices.job === null")
        server.service.ending = False
        page.get_by_role("button", name="Write").click()
        wait_until(page, "manuscript.drawn > 5")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Start over").click()
    wait_until(page, "slices.job === null")
    assert page.get_by_role("status").inner_text() == "The server does not answer."
    page.close()


def test_the_page_tries_again_if_the_server_is_busy(browser: Any) -> None:
    with served(make_model(LSTM), concurrent=1, queue=0, length=10_000_000) as server:
        page = browser.new_page()
        page.goto(server.url)
        wait_until(page, "manuscript.ready")
        occupied = server.begin({"length": 10_000_000, "stream": True})
        server.until(lambda: server.working == 1)
        page.get_by_role("button", name="Write").click()
        page.wait_for_timeout(300)
        occupied.close()
        wait_until(page, "manuscript.drawn > 5")
        page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_phone_and_in_the_dark(scheme: str, browser: Any) -> None:
    with served(make_model(LSTM, provenance={"corpus": "long" * 20})) as server:
        page = browser.new_page(viewport={"width": 390, "height": 844}, color_scheme=scheme)
        page.goto(server.url)
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        page.close()

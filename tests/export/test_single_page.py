"""The exported page in a browser: it computes the same as the network, sends no request, and no text breaks out of it."""

import re
import struct
from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest

from chargen.corpus.vocabulary import ByteVocabulary, CharacterVocabulary, Vocabulary
from chargen.corpus.words import BpeVocabulary, WordVocabulary
from chargen.errors import ConfigError
from chargen.export.contents import PRECISIONS, describe, packed
from chargen.export.samples import sample_texts
from chargen.export.simd_module import assemble
from chargen.export.single_page import FOLDER, make_page
from chargen.network.model_file import TextModel
from chargen.network.network import Network
from chargen.settings.schema import NetworkConfig
from chargen.settings.writing import SamplingOptions
from chargen.writing.generation import stream_text
from chargen.writing.prediction import guesses, most_probable, next_probabilities
from chargen.writing.sampling import Sampler
from tests.export.forms import FORMS, E, H, halved, make_model, name_of, several, some_ids, with_memory
from tests.export.pages import begin, engine_of, reload_until, text_of, wait_until, watch, write
from tests.writing.samplers import sampler_of

LSTM = NetworkConfig(hidden_size=H, embedding_size=E)
LINES = {"reading": "line", "primer": (0,), "ends": True}
READ_IDS = """([rows, described, weights, simd]) => {
  const one = described ? makeNetwork(described, weights, simd && bytesOf(simd)) : engine.reader.network;
  return rows.map((row) => {
    one.reset();
    return row.map((id) => Array.from(one.step(id)));
  });
}"""

Open = Callable[..., Any]


@pytest.fixture
def context(browser: Any) -> Iterator[Any]:
    made = browser.new_context(viewport={"width": 1200, "height": 900}, color_scheme="light")
    yield made
    made.close()


@pytest.fixture
def open_page(context: Any, tmp_path: Path) -> Iterator[Open]:
    """Open the page of a model after it has read its prompt; later check for requests, dialogs and errors."""
    odd: list[str] = []

    def open_it(model: TextModel, precision: str = "float32", **more: Any) -> Any:
        path = tmp_path / "page.html"
        path.write_text(make_page(model, precision, **more), encoding="ascii")
        page = context.new_page()
        watch(page, odd, is_expected=lambda url: url.endswith("/page.html") or url.startswith("blob:"))
        page.goto(path.as_uri())
        wait_until(page, "manuscript.ready")
        return page

    yield open_it
    assert odd == []


@pytest.mark.parametrize("lines", [True, False])
def test_texts_and_prompts_are_shown_until_it_writes(lines: bool, open_page: Open) -> None:
    model = make_model(LSTM, vocabulary=CharacterVocabulary("abc <\n"), **(LINES if lines else {}))
    page, samples = open_page(model), sample_texts(model)
    assert 0 < len(samples) <= (24 if lines else 3)
    assert samples == sample_texts(model)
    assert page.evaluate("[...document.querySelectorAll('#samples-list li')].map((one) => one.textContent)") == samples
    start = page.locator("#starts button").first
    prompt = start.text_content()
    start.click()
    wait_until(page, "manuscript.drawn > 3")
    page.keyboard.press("Escape")
    assert text_of(page).startswith(prompt)
    assert page.locator("#prompt").input_value() == prompt
    assert page.locator("#samples").is_hidden()
    page.get_by_role("button", name="Start over").click()
    page.locator("#samples").wait_for(state="visible")


def test_a_text_is_copied_saved_and_linked(open_page: Open) -> None:
    page = open_page(make_model(LSTM))
    assert page.locator("#keep").is_hidden()
    begin(page, "ab c&=#", temperature="0.6")
    text = write(page, 20)
    page.evaluate("() => addEventListener('copy', (event) => { window.copied = event.clipboardData.getData('text/plain'); })")
    page.get_by_role("button", name="Copy", exact=True).click()
    assert page.get_by_role("status").inner_text() == "The text is copied."
    assert page.evaluate("copied") == text
    with page.expect_download() as saved:
        page.get_by_role("button", name="Save text").click()
    assert saved.value.suggested_filename == "chargen.txt"
    assert Path(saved.value.path()).read_text(encoding="utf-8") == text
    page.get_by_role("button", name="Copy link").click()
    link = page.evaluate("copied")
    assert link.startswith(page.url.split("#")[0] + "#prompt=ab")
    page.goto("about:blank")
    page.goto(link)
    wait_until(page, "manuscript.ready")
    assert page.locator("#prompt").input_value() == "ab c&=#"
    assert page.locator("#temperature").input_value() == "0.6"
    page.locator("#pace").fill("4")
    again = write(page, 20)
    assert again[: len(text)] == text[: len(again)]  # the same seed


@pytest.mark.parametrize(
    ("characters", "typed", "read"),
    [
        ("ab'\"e.", "\u2018a\u2019 \u201cb\u201d \u00e9\u2026", "'a' \"b\" e..."),
        ("ab\u2019 ", "a'b", "a\u2019b"),
        ("ab ", "a\u2019b", "ab"),
    ],
)
def test_characters_are_read_as_the_nearest_known_ones(characters: str, typed: str, read: str, open_page: Open) -> None:
    page = open_page(make_model(LSTM, vocabulary=CharacterVocabulary(characters + " " * (" " not in characters))))
    begin(page, typed)
    assert text_of(page) == read
    note = page.get_by_role("status").inner_text()
    assert note.startswith("The network does not know" if read == "ab" else "The network reads ")


def test_a_network_that_cannot_write_has_no_samples(open_page: Open) -> None:
    model = make_model(LSTM)
    model.network.weights["output.bias"][:] = np.nan
    assert sample_texts(model) == []


def greedy(model: TextModel, prompt: str, length: int) -> str:
    ids = model.vocabulary.encode_prompt(prompt)
    drawn = stream_text(model, ids, length=length, sampler=sampler_of(temperature=0), rng=np.random.default_rng())
    return prompt + "".join(drawn)


@pytest.fixture(scope="module")
def anywhere(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Return a worker whose code accepts any model: opening a page for each would take long."""
    path = tmp_path_factory.mktemp("page") / "page.html"
    path.write_text(make_page(make_model(LSTM), "float32"), encoding="ascii")
    page = browser.new_page()
    page.goto(path.as_uri())
    yield engine_of(page)
    page.close()


def all_logits(network: Network) -> np.ndarray:
    return network.logits(some_ids(), network.zero_state(len(some_ids())))[0]


ARITHMETICS = pytest.mark.parametrize("simd", ["", b64encode(assemble()).decode("ascii")], ids=["plain", "simd"])


@pytest.mark.parametrize("config", FORMS, ids=name_of)
@ARITHMETICS
def test_logits_equal(simd: str, config: NetworkConfig, anywhere: Any) -> None:
    model = make_model(config)
    for precision, network in (("float32", model.network), ("float16", halved(model))):
        numbers = b64encode(packed(model, precision)).decode("ascii")
        given = anywhere.evaluate(READ_IDS, [some_ids().tolist(), describe(model, precision), numbers, simd])
        np.testing.assert_allclose(given, all_logits(network), atol=1e-5)  # the requirement is 1e-4


@pytest.mark.parametrize("config", FORMS[5::9], ids=name_of)
@pytest.mark.parametrize("largest_table", [1, 1 << 25], ids=["embedding", "table"])
def test_logits_equal_in_a_page_of_their_own(
    largest_table: int, config: NetworkConfig, open_page: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chargen.network.network.LARGEST_TABLE", largest_table)
    model = make_model(config)
    np.testing.assert_allclose(
        engine_of(open_page(model)).evaluate(READ_IDS, [some_ids().tolist()]), all_logits(model.network), atol=1e-5
    )


@ARITHMETICS
def test_logits_of_several_networks_are_the_average(simd: str, anywhere: Any) -> None:
    model = several()
    numbers = b64encode(packed(model, "float32")).decode("ascii")
    given = anywhere.evaluate(READ_IDS, [some_ids().tolist(), describe(model, "float32"), numbers, simd])
    np.testing.assert_allclose(given, all_logits(model.network), atol=1e-5)


@pytest.mark.parametrize("remembers", [False, True])
def test_a_page_of_several_networks_writes_what_sample_writes(remembers: bool, open_page: Open) -> None:
    model = with_memory(several()) if remembers else several()
    page = open_page(model)
    assert "(one of 3 networks, whose predictions are averaged)" in page.locator("#about").inner_text()
    begin(page, "ab")
    assert write(page, 60).startswith(greedy(model, "ab", 60))


@pytest.mark.parametrize(
    ("cell", "after"), [("simplernn", True), ("lstm", True), ("mlstm", True), ("gru", True), ("gru", False)]
)
@ARITHMETICS
def test_logits_equal_in_the_usual_size(simd: str, cell: str, after: bool, anywhere: Any) -> None:
    model = make_model(NetworkConfig(cell=cell, reset_after=after, num_layers=2), scale=0.15)
    numbers = b64encode(packed(model, "float32")).decode("ascii")
    given = anywhere.evaluate(READ_IDS, [some_ids().tolist(), describe(model, "float32"), numbers, simd])
    np.testing.assert_allclose(given, all_logits(model.network), atol=1e-5)


KINDS: list[tuple[Vocabulary, str]] = [
    (CharacterVocabulary("abc \u00e9\n\U0001f642"), "\u00e9\U0001f642a"),
    (ByteVocabulary(), "\u00e9\U0001f642a"),
    (WordVocabulary(["a", " cab", "!", " \u00e9"], num_characters=9), "a cab \u00e9 a!"),
    (BpeVocabulary("abc \u00e9\n", [("a", "b"), ("ab", "c"), (" ", "ab")]), "abc abcab \u00e9"),
]
BY_KIND = pytest.mark.parametrize(("vocabulary", "prompt"), KINDS, ids=[one.kind for one, _ in KINDS])


@BY_KIND
@pytest.mark.parametrize("remembers", [False, True])
def test_what_it_writes_at_temperature_zero_is_what_sample_writes(
    vocabulary: Vocabulary, prompt: str, remembers: bool, open_page: Open
) -> None:
    model = make_model(LSTM, vocabulary=vocabulary)
    model = with_memory(model, weight=0.7) if remembers else model
    page = open_page(model)
    assert ("n-grams" in page.inner_text("#size")) == remembers
    for given in ("", prompt[:1], prompt * 3):
        begin(page, given)
        text = write(page, 60)
        assert text.startswith(greedy(model, given, 60).rstrip("\ufffd"))


@pytest.mark.parametrize("prompt", ["", "b"])
def test_lines_begin_anew(prompt: str, open_page: Open) -> None:
    model = make_model(LSTM, vocabulary=CharacterVocabulary("abc"), **LINES)
    model.network.weights["output.bias"][0] = 3  # ends soon
    page = open_page(model)
    begin(page, prompt)
    line, *_ = lines = write(page, 40).split("\n")[:-1]
    assert len(lines) > 3
    assert set(lines) == {greedy(model, prompt, 200)}
    assert line in page.inner_text("#text").splitlines()


ODD_TEXTS = [
    "Who, me?\tNo\u2026",
    "a\x1cb\x85c\xa0d\u2003e\ufefff",
    "\u00e9\u0301 \u00bd\u00b2 \u4e03 _x \u0627\u0644",
    "a  b\n\n!? ",
    "abcab ab cabc",
]


@pytest.mark.parametrize("text", ODD_TEXTS, ids=ascii)
@pytest.mark.parametrize("kind", ["byte", "word", "bpe"])
def test_tokens_are_those_of_the_vocabulary(kind: str, text: str, open_page: Open) -> None:
    pieces = sorted(set(re.findall(r" ?\w+| ?[^\w\s]|\s", text)) - {"a"})
    vocabulary = {
        "byte": ByteVocabulary(),
        "word": WordVocabulary(pieces, num_characters=9),
        "bpe": BpeVocabulary("".join(sorted(set(text) | set("abc "))), [("a", "b"), (" ", "ab"), ("ab", "c"), ("c", "ab")]),
    }[kind]
    encoded = engine_of(open_page(make_model(LSTM, vocabulary=vocabulary))).evaluate(
        "(text) => engine.vocabulary.encode(text)", text
    )
    assert [one["id"] for one in encoded["tokens"]] == vocabulary.encode(text).tolist()
    assert "".join(one["text"] for one in encoded["tokens"]) == text


@BY_KIND
def test_surprise_and_bars_are_what_next_shows(vocabulary: Vocabulary, prompt: str, open_page: Open) -> None:
    model = make_model(LSTM, vocabulary=vocabulary)
    page = open_page(model)
    begin(page, prompt, temperature="1")
    ids = vocabulary.encode_prompt(prompt)
    read = guesses(model, ids)
    known = [one for one in read if one.token not in vocabulary.silent_ids]
    bits = page.evaluate("manuscript.prompt.map((piece) => piece.bits).filter((bits) => !Number.isNaN(bits))")
    expected = [-np.log2(one.probability) for one in known]
    np.testing.assert_allclose(sum(bits), sum(expected), atol=1e-3)
    if vocabulary.kind != "byte":  # a character of several bytes has the sum of their bits
        np.testing.assert_allclose(bits, expected, atol=1e-4)
    best = most_probable(model, ids, 10)
    wait_until(page, "!rows[0].row.hidden && manuscript.known?.temperature === 1")
    assert page.evaluate("rows.filter((one) => !one.row.hidden).map((one) => one.token)") == [token for token, _ in best]
    assert page.locator("#next .share").first.inner_text() == f"{100 * best[0][1]:.1f}%"


def test_a_chosen_character_comes_next(open_page: Open) -> None:
    page = open_page(make_model(LSTM))
    begin(page, "ab")
    page.locator("#temperature").fill("1")
    chosen = page.locator("#next button").nth(2)
    wait_until(page, "manuscript.known?.temperature === 1")
    text = page.evaluate("manuscript.next[2].text")
    chosen.click()
    assert text_of(page) == "ab" + text


def test_surprise_colours_each_character_by_its_bits(open_page: Open) -> None:
    page = open_page(make_model(LSTM))
    begin(page, "abcabc")
    assert page.locator("#text [title]").count() == 0
    page.get_by_role("switch", name="Show surprise").check()
    bits = page.evaluate("manuscript.prompt.map((piece) => piece.bits)")
    titles = page.evaluate("Array.from(document.querySelectorAll('#text [title]'), (one) => one.title)")
    assert titles == [f"{one:.1f} bits" for one in bits]
    assert page.locator("#legend").is_visible()
    write(page, 30)
    assert page.locator("#text .written[title]").count() >= 20


NASTY = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'`${alert(3)}{{script}}<!--<script>&lt;"


def test_no_text_of_a_model_becomes_markup(open_page: Open) -> None:
    vocabulary = CharacterVocabulary(sorted(set(NASTY) | set("\u2028\u202e\x00\x1b")), [NASTY, "y"])
    model = make_model(LSTM, vocabulary=vocabulary, primer=(0,), provenance={"corpus": NASTY})
    page = open_page(model)
    assert page.locator("h1").inner_text() == NASTY[:60]
    assert page.locator("#label option").first.get_attribute("value") == NASTY
    begin(page, NASTY, temperature="1")
    page.get_by_role("switch", name="Show surprise").check()
    assert write(page, 2000).startswith(NASTY)
    assert page.locator("img").count() == 0
    assert page.locator("script").count() == 5
    words = WordVocabulary([NASTY, "<b>bold</b>"], num_characters=9)
    page = open_page(make_model(LSTM, vocabulary=words, primer=(2,)))
    begin(page, "", temperature="1")
    assert "<b>bold</b>" in write(page, 1000)  # it is one token in four
    assert page.locator("b, img").count() == 0


@pytest.fixture
def listener() -> Iterator[tuple[int, list[str]]]:
    """Return a local port and the paths requested there."""
    paths: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            paths.append(self.path)
            self.send_error(404)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server.server_port, paths
        server.shutdown()
        thread.join()


ESCAPES = """async (origin) => {
  const image = new Image();
  image.src = `${origin}/image`;
  document.body.insertAdjacentHTML("beforeend", `<img src=${origin}/markup onerror="window.ran = 1">`);
  document.head.insertAdjacentHTML("beforeend", `<link rel=stylesheet href=${origin}/style>`);
  for (const source of ["src", "textContent"]) {
    const script = document.createElement("script");
    script[source] = source === "src" ? `${origin}/script` : "window.ran = 1";
    document.body.append(script);
  }
  navigator.sendBeacon(`${origin}/beacon`);
  return fetch(`${origin}/fetch`).then(() => "fetched", () => window.ran ?? "refused");
}"""


def test_the_policy_forbids_every_request(context: Any, tmp_path: Path, listener: tuple[int, list[str]]) -> None:
    """Even code injected into the page could load, send or run nothing."""
    port, paths = listener
    path = tmp_path / "page.html"
    path.write_text(make_page(make_model(LSTM), "float16"), encoding="ascii")
    page = context.new_page()
    page.goto(path.as_uri())
    assert page.evaluate(ESCAPES, f"http://127.0.0.1:{port}") == "refused"
    page.wait_for_timeout(300)
    assert paths == []
    page.goto(f"http://127.0.0.1:{port}/heard")
    assert paths[:1] == ["/heard"]


def test_the_network_runs_with_webassembly_in_a_worker(open_page: Open) -> None:
    page = open_page(make_model(LSTM))
    assert engine_of(page).evaluate("engine.reader.network.cells[0].arithmetic instanceof SimdArithmetic")
    policy = page.locator("meta[http-equiv]").get_attribute("content")
    assert "worker-src blob:" in policy
    assert "'wasm-unsafe-eval'" in policy


def test_labels_are_a_menu(open_page: Open) -> None:
    model = make_model(LSTM, vocabulary=CharacterVocabulary("abc", ["x", "y"]), **LINES)
    page = open_page(model)
    for label in ("y", "x"):
        page.get_by_label("In the style of").select_option(label)
        wait_until(page, "manuscript.ready")
        expected = next_probabilities(model.with_label(label), np.array([], np.intp))
        found = engine_of(page).evaluate("Array.from(softmax(engine.expected()))")
        np.testing.assert_allclose(found, expected, atol=1e-6)


def test_characters_that_the_network_never_saw_are_left_out_and_named(open_page: Open) -> None:
    page = open_page(make_model(LSTM))
    begin(page, "a\u00fcb<")
    wait_until(page, "manuscript.prompt.length === 2")
    assert page.get_by_role("status").inner_text() == "The network does not know \u00fc, < and leaves them out."


FOCUSED = """() => {
  const { innerText, ariaLabel, labels } = document.activeElement;
  return [innerText, ariaLabel, labels?.[0]?.innerText];
}"""


def test_by_keyboard(open_page: Open) -> None:
    page = open_page(make_model(LSTM))
    page.get_by_label("Prompt").focus()
    page.keyboard.type("abc")
    page.keyboard.press("Control+Enter")  # before it has read the prompt
    wait_until(page, "manuscript.drawn > 3")
    assert page.evaluate("manuscript.pieces.slice(0, 3).map((piece) => piece.text).join('')") == "abc"
    page.keyboard.press("Escape")
    assert page.get_by_role("status").inner_text().startswith("Stopped after ")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.get_by_role("button", name="Stop").is_visible()
    page.keyboard.press("Escape")
    for name in ("Temperature", "%", "Start over", "Show surprise", "Speed", "Generated text"):
        page.keyboard.press("Tab")
        focused = page.evaluate(FOCUSED)
        assert any(name in (one or "") for one in focused), focused


def test_everything_has_a_name(open_page: Open) -> None:
    page = open_page(make_model(LSTM))
    tree = page.locator("body").aria_snapshot()
    for role in ("textbox", "slider", "switch", "button", "region"):
        named = re.findall(rf"- {role}( \".+?\")?", tree)
        assert named, role
        assert all(named), (role, tree)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_phone_and_in_the_dark(scheme: str, browser: Any, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text(make_page(make_model(LSTM, provenance={"corpus": "long" * 20}), "float16"), encoding="ascii")
    context = browser.new_context(viewport={"width": 390, "height": 844}, color_scheme=scheme)
    page = context.new_page()
    page.goto(path.as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    assert all(box["height"] >= 38 for box in (one.bounding_box() for one in page.get_by_role("button").all()))
    dark = page.get_by_role("button", name="Dark")
    assert dark.get_attribute("aria-pressed") == str(scheme == "dark").lower()
    grounds = [page.evaluate("getComputedStyle(document.body).backgroundColor")]
    dark.click()
    grounds.append(page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert len(set(grounds)) == 2
    context.close()


@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_size_is_told(precision: str, open_page: Open) -> None:
    model = make_model(LSTM)
    page = open_page(model, precision)
    size = page.evaluate("described.bytes")
    assert size == len(make_page(model, precision))
    assert f"{round(size / 1000):,} kB" in page.locator("#size").inner_text()


def test_an_lstm_of_the_usual_size_is_under_600_kb() -> None:
    vocabulary = CharacterVocabulary(map(chr, range(32, 117)))
    model = make_model(NetworkConfig(), vocabulary=vocabulary)
    assert len(make_page(model, "float16")) < 450_000


def test_the_same_model_gives_the_same_page() -> None:
    assert make_page(make_model(LSTM), "float16") == make_page(make_model(LSTM), "float16")


def test_weights_too_large_for_half_numbers_are_refused() -> None:
    model = make_model(LSTM)
    model.network.weights["output.bias"][1] = 1e5
    with pytest.raises(ConfigError, match=r"output\.bias holds 100000, too large for float16"):
        make_page(model, "float16")
    assert make_page(model, "float32")


def sources() -> Sequence[Path]:
    return sorted(FOLDER.iterdir())


@pytest.mark.parametrize("path", sources(), ids=lambda path: path.name)
def test_the_sources_can_stand_in_a_page(path: Path) -> None:
    text = path.read_text(encoding="ascii")
    if path.suffix != ".html":
        assert "</" not in text
        assert "<!--" not in text
    assert "http:" not in text
    assert "https:" not in text


def test_earlier_texts_come_back(open_page: Open) -> None:
    page = open_page(make_model(LSTM))
    begin(page, "ab", temperature="1")
    first = write(page, 30)
    page.locator("#prompt").focus()
    page.keyboard.press("End")
    page.keyboard.type("c")  # a stray key
    wait_until(page, "!unread && manuscript.ready")
    assert text_of(page) == "abc"
    page.keyboard.press("Backspace")
    wait_until(page, "!unread")
    assert text_of(page) == first
    page.get_by_role("button", name="Start over").click()
    wait_until(page, "manuscript.ready")
    assert text_of(page) == "ab"
    page.get_by_role("button", name="Earlier").click()
    assert text_of(page) == first
    second = write(page, 40 + page.evaluate("manuscript.drawn"))
    assert second.startswith(first)
    page.get_by_role("button", name="Start over").click()
    wait_until(page, "manuscript.ready")
    page.locator("#text").focus()
    page.keyboard.press("Control+z")
    assert text_of(page) == second
    page.keyboard.press("Control+Shift+z")
    assert text_of(page) == second  # the text after it held nothing written


@BY_KIND
def test_a_click_goes_back_to_a_character(vocabulary: Vocabulary, prompt: str, open_page: Open) -> None:
    model = make_model(LSTM, vocabulary=vocabulary)
    page = open_page(model)
    begin(page, prompt, temperature="1")
    text = write(page, 30)
    place = page.evaluate("manuscript.pieces.findIndex((piece, place) => place > 12 && piece.text !== '\\n')")
    before = page.evaluate(f"manuscript.pieces.slice(0, {place}).map((piece) => piece.text).join('')")
    page.get_by_role("switch", name="Show surprise").check()
    page.locator("#text span").nth(
        page.evaluate(f"[...document.querySelectorAll('#text span')].findIndex((one) => one.first === {place})")
    ).click()
    wait_until(page, f"manuscript.known?.at === {place}")
    ids = page.evaluate(f"manuscript.textBefore({place}).ids")
    best = most_probable(model, np.array(ids), 10)
    assert page.evaluate("rows.filter((one) => !one.row.hidden).map((one) => one.token)") == [token for token, _ in best]
    assert text_of(page) == text  # nothing is removed yet
    chosen = page.evaluate("manuscript.next[0].text")
    page.locator("#next button").first.click()
    assert text_of(page).startswith(before + chosen if vocabulary.kind != "byte" else before)
    assert page.evaluate("manuscript.tokens.length") == page.evaluate(f"earlier[0].pieces[{place}].place") + 1
    page.get_by_role("button", name="Earlier").click()
    assert text_of(page) == text


def test_arrow_keys_go_back_in_the_text(open_page: Open) -> None:
    page = open_page(make_model(LSTM))
    begin(page, "abcd", temperature="1")
    page.locator("#text").focus()
    for _ in range(2):
        page.keyboard.press("ArrowLeft")
    wait_until(page, "document.querySelector('#text .looked-at')?.innerText === 'c'")
    wait_until(page, "document.querySelector('#text .after')?.innerText === 'd'")
    assert page.locator("#next .drawn").count() == 1
    page.keyboard.press("Escape")
    wait_until(page, "!document.querySelector('#text .looked-at')")


def test_pieces_are_found_without_elements_of_their_own(open_page: Open) -> None:
    page = open_page(make_model(LSTM, vocabulary=CharacterVocabulary("abcde ")))
    begin(page, "abcde abcde")
    box = page.evaluate("""() => {
      const range = document.createRange();
      const text = document.querySelector("#text .given").firstChild;
      text.parentElement.scrollIntoView({ block: "center" });
      range.setStart(text, 7);
      range.setEnd(text, 8);
      const { x, y, width, height } = range.getBoundingClientRect();
      return [x + width * 0.8, y + height / 2];
    }""")
    page.mouse.click(*box)
    assert page.evaluate("cursor") == 7


def test_elements_are_made_in_a_bounded_time(open_page: Open) -> None:
    page = open_page(make_model(LSTM))
    shown = page.evaluate("""() => {
      const pieces = Array.from({ length: 5000 }, () => ({ text: "a", bits: 1, given: false }));
      paper.clear();
      const begun = paper.add(pieces, { each: true, cursor: null, budget: -1 });
      return [begun, paper.shown, paper.add(pieces, { each: true, cursor: null }), paper.shown];
    }""")
    assert shown == [False, 0, True, 5000]
    assert page.locator("#text span").count() == 5000


def test_all_is_shown_after_writing_at_full_speed(open_page: Open) -> None:
    page = open_page(make_model(LSTM))
    page.get_by_role("switch", name="Show surprise").check()
    begin(page, "ab", temperature="1")
    page.evaluate("$('length').value = '7000'; start()")
    wait_until(page, "!writing")
    assert page.evaluate("[manuscript.drawn, paper.shown === manuscript.pieces.length]") == [7000, True]
    assert page.locator("#text").text_content() == text_of(page).replace("\n", "")


def test_the_text_depends_on_the_seed_and_not_on_the_speed(open_page: Open) -> None:
    page = open_page(make_model(LSTM))
    page.locator(".more summary").click()
    texts = []
    for seed, pace in (("7", "4"), ("7", "2"), ("8", "4")):
        page.locator("#seed").fill(seed)
        page.locator("#seed").blur()
        begin(page, "", temperature="1")
        page.locator("#pace").fill(pace)
        page.get_by_role("button", name="Start over").click()
        wait_until(page, "manuscript.ready")
        texts.append(write(page, 60)[:60])
    assert texts[0] == texts[1] != texts[2]


@pytest.mark.parametrize(
    ("settings", "options"),
    [
        ({"top_k": 2}, {"top_k": 2}),
        ({"top_p": 0.5}, {"top_p": 0.5}),
        ({"top_k": 3, "top_p": 0.7, "temperature": 1.7}, {"top_k": 3, "top_p": 0.7, "temperature": (1.7,)}),
        ({"repetition_penalty": 3.0}, {"repetition_penalty": 3.0}),
    ],
)
def test_draws_are_those_of_the_sampler(settings: dict[str, float], options: dict[str, Any], anywhere: Any) -> None:
    """The chances of the page's draws, over evenly spaced numbers, are those of NumPy's sampler."""
    logits = np.random.default_rng(3).normal(0, 2, 7).astype(np.float32)
    recent = [2, 4, 0]
    body = {"temperature": 1, "top_k": 0, "top_p": 1, "repetition_penalty": 1} | settings
    chances = anywhere.evaluate(
        """([logits, recent, body]) => {
      const values = Float32Array.from(logits);
      if (body.repetition_penalty !== 1) penalize(values, recent, body.repetition_penalty);
      const probabilities = probabilitiesAt(values, body.temperature);
      keepLargest(probabilities, body.top_k, body.top_p);
      const sum = probabilities.reduce((all, one) => all + one, 0);
      return Array.from(probabilities, (one) => one / sum);
    }""",
        [logits.tolist(), recent, body],
    )
    sampler = Sampler(SamplingOptions(**options))
    points = (np.arange(4000) + 0.5) / 4000

    class Points:
        def __init__(self) -> None:
            self.left = iter(points)

        def random(self) -> float:
            return float(next(self.left))

    rng: Any = Points()
    drawn = [int(sampler(logits[None], rng, recent=[np.array([one]) for one in recent])[0]) for _ in points]
    np.testing.assert_allclose(chances, np.bincount(drawn, minlength=7) / len(points), atol=1e-3)


def test_random_numbers_are_uniform(anywhere: Any) -> None:
    for seed in (0, 1, 2**32 - 1):
        numbers = np.array(
            anywhere.evaluate("(seed) => Array.from({ length: 20000 }, (_, place) => uniform(seed, place))", seed)
        )
        assert 0 <= numbers.min() <= numbers.max() < 1
        counts = np.histogram(numbers, 50, (0, 1))[0]
        assert ((counts - 400) ** 2 / 400).sum() < 100  # chi-square of 49 degrees of freedom: 85 in one of 1000
        assert abs(np.corrcoef(numbers[1:], numbers[:-1])[0, 1]) < 0.03


def test_bars_are_scaled_and_the_cut_off_is_grey(open_page: Open) -> None:
    page = open_page(make_model(LSTM))
    begin(page, "ab", temperature="1")
    page.locator(".more summary").click()
    page.locator("#top-k").fill("2")
    wait_until(page, "!rows[2].row.hidden")
    assert page.evaluate("rows.map((one) => one.row.classList.contains('cut'))")[:4] == [False, False, True, True]
    scale = page.evaluate("rows.map((one) => Number(one.fill.style.transform.slice(7, -1)))")
    chances = page.evaluate("manuscript.next.map((one) => one.probability)")
    assert scale[0] == 1
    np.testing.assert_allclose(scale[1], chances[1] / chances[0], atol=1e-4)


def test_figures_count_what_was_written(open_page: Open) -> None:
    page = open_page(make_model(LSTM))
    begin(page, "abcab", temperature="1")
    assert page.locator("#figures").inner_text() == ""
    write(page, 20)
    written = page.evaluate("manuscript.pieces.filter((piece) => !piece.given)")
    bits = sum(one["bits"] for one in written) / len(written)
    assert page.locator("#figures").inner_text() == f"{len(written):,} characters written \u00b7 {bits:.2f} bits each"


@pytest.mark.parametrize(("vocabulary", "most"), [(KINDS[0][0], 7), (KINDS[1][0], 7), (KINDS[2][0], 14), (KINDS[3][0], 14)])
def test_the_scale_of_surprise_fits_the_tokens(vocabulary: Vocabulary, most: int, open_page: Open) -> None:
    page = open_page(make_model(LSTM, vocabulary=vocabulary))
    page.get_by_role("switch", name="Show surprise").check()
    assert f"{most} bits and more" in page.locator("#legend").inner_text()
    assert page.evaluate(f"[0, {most - 0.1}, {most}, 99].map(levelOf)") == [0, 6, 7, 7]


def test_names_are_marked_and_kept(open_page: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    model = make_model(LSTM, vocabulary=CharacterVocabulary("ab\u00e9"), provenance={"corpus": "names"}, **LINES)
    model.network.weights["output.bias"][0] = 2
    page = open_page(model, lines=["a", "\u00e9a"])
    begin(page, "", temperature="1")
    lines = write(page, 300).split("\n")[:-1]
    shown = page.evaluate("[...document.querySelectorAll('#text p')].map((one) => [one.textContent, one.className])")
    assert {name for name, kind in shown if kind == "known"} == set(lines) & {"a", "\u00e9a"}
    assert page.locator("#kept").is_hidden()
    page.get_by_role("button", name="Keep a", exact=True).first.click()
    assert page.locator("#kept li").all_inner_texts() == ["a\u00d7"]
    reload_until(page, "document.querySelectorAll('#kept li').length > 0")
    assert page.locator("#kept li").all_inner_texts() == ["a\u00d7"]
    page.get_by_role("button", name="Remove a", exact=True).click()
    assert page.locator("#kept").is_hidden()


def test_a_picture_is_saved(open_page: Open) -> None:
    page = open_page(make_model(LSTM))
    begin(page, "ab", temperature="1")
    write(page, 300)
    page.get_by_role("switch", name="Show surprise").check()
    with page.expect_download() as saved:
        page.get_by_role("button", name="Save picture").click()
    content = Path(saved.value.path()).read_bytes()
    width, height = struct.unpack(">II", content[16:24])
    assert (content[:4], width) == (b"\x89PNG", 1800)
    assert height > 300


def test_the_theme_is_remembered(open_page: Open) -> None:
    page = open_page(make_model(LSTM))
    page.get_by_role("button", name="Dark").click()
    reload_until(page, "document.documentElement.dataset.theme === 'dark'")
    page.get_by_role("button", name="Dark").click()
    assert page.get_by_role("button", name="Dark").get_attribute("aria-pressed") == "false"


@pytest.mark.parametrize("size", [(390, 844), (320, 568)])
def test_on_a_phone_the_text_fills_the_screen_above_a_bar(size: tuple[int, int], browser: Any, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text(make_page(make_model(LSTM, vocabulary=CharacterVocabulary("abc \n")), "float16"), encoding="ascii")
    with browser.new_context(viewport={"width": size[0], "height": size[1]}) as context:
        page = context.new_page()
        page.goto(path.as_uri())
        begin(page, "", temperature="1")
        page.locator("#pace").fill("3")
        page.get_by_role("button", name="Write").click()
        wait_until(page, "manuscript.drawn > 700")
        bar, pane = page.locator(".bar").bounding_box(), page.locator("#text").bounding_box()
        assert bar["y"] + bar["height"] == pytest.approx(size[1], abs=1)
        assert pane["height"] > 0.6 * size[1]
        assert 0 <= pane["y"] < 30
        for name in ("#write", "#temperature", "#next li"):
            assert page.locator(name).first.is_visible()
        for _ in range(5):
            last = page.locator("#text p").last.bounding_box()
            assert last["y"] + last["height"] <= bar["y"] + 1
            page.wait_for_timeout(50)

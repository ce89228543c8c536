"""The API of `chargen serve`, over HTTP: what it answers, what it refuses, and how it ends."""

import asyncio
import json
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from chargen.corpus.vocabulary import ByteVocabulary, CharacterVocabulary
from chargen.corpus.words import BpeVocabulary, WordVocabulary
from chargen.network.model_file import TextModel
from chargen.serving.access import Access
from chargen.serving.limits import Limits
from chargen.serving.server import Site
from chargen.settings.schema import NetworkConfig
from chargen.settings.writing import WritingOptions
from chargen.writing.prediction import guesses, most_probable
from chargen.writing.request import make_request
from tests.export.forms import FORMS, make_model, name_of
from tests.serving.served import Served, make_app, served

LSTM = NetworkConfig(hidden_size=5, embedding_size=4)
LINES = {"reading": "line", "primer": (0,), "ends": True}
ENDLESS = 10_000_000  # tokens: nobody waits for them


@pytest.fixture(scope="module")
def at_work() -> Iterator[Served]:
    with served(make_model(LSTM), length=3000) as server:
        yield server


def sampled(model: TextModel, prompt: str, **asked: Any) -> str:
    """Return what `chargen sample` would write after a prompt."""
    request = make_request(model, prompt, WritingOptions(count=1, **asked))
    return "".join(request.stream()).removeprefix(prompt)


def undated(line: str) -> str:
    """Return a line of the log without its date and time."""
    return line.split(" ", 2)[2]


VOCABULARIES = [
    (CharacterVocabulary("abc \u00e9\n\U0001f642"), "\u00e9\U0001f642a"),
    (ByteVocabulary(), "\u00e9\U0001f642a"),
    (WordVocabulary(["a", " cab", "!", " \u00e9"], num_characters=9), "a cab \u00e9 a!"),
    (BpeVocabulary("abc \u00e9\n", [("a", "b"), ("ab", "c"), (" ", "ab")]), "abc abcab \u00e9"),
]
BY_KIND = pytest.mark.parametrize(("vocabulary", "prompt"), VOCABULARIES, ids=[one.kind for one, _ in VOCABULARIES])


@BY_KIND
def test_it_writes_what_sample_writes_with_the_same_seed(vocabulary: Any, prompt: str) -> None:
    model = make_model(LSTM, vocabulary=vocabulary)
    with served(model) as server:
        for given in ("", prompt, prompt * 3):
            for asked in ({"random_seed": 3}, {"random_seed": 4, "temperature": 0.5, "top_k": 3}, {"temperature": 0.0}):
                body = {"prompt": given, "length": 80, **asked}
                expected = sampled(model, given, length=80, **asked)
                whole = server.post("/api/complete", body).json
                assert whole == {"prompt": given, "text": expected, "stopped": "length"}
                *events, last = server.post("/api/complete", body | {"stream": True, "every": 1}).events
                assert "".join(one["text"] for one in events) == expected
                assert last == {"stopped": "length"}


@pytest.mark.parametrize("config", FORMS[3::7], ids=name_of)
def test_every_form_of_network(config: NetworkConfig) -> None:
    model = make_model(config)
    with served(model) as server:
        answer = server.post("/api/complete", {"prompt": "abc", "random_seed": 1, "top_p": 0.9})
        assert answer.json["text"] == sampled(model, "abc", random_seed=1, top_p=0.9)


def test_no_event_splits_a_character() -> None:
    model = make_model(LSTM, vocabulary=ByteVocabulary(), scale=0.1)
    model.network.weights["output.bias"][1:] = np.where(np.isin(np.arange(256), list("\u00e9\U0001f642".encode())), 9, -9)
    with served(model) as server:
        *events, _ = server.post("/api/complete", {"length": 600, "stream": True, "every": 1, "random_seed": 2}).events
        text = "".join(one["text"] for one in events)
        assert text == sampled(model, "", length=600, random_seed=2)
        assert "\u00e9" in text
        assert all(not one["text"] or ord(one["text"][-1]) < 0xD800 or ord(one["text"][-1]) > 0xDFFF for one in events)


def test_a_line_ends_and_another_begins_as_it_did() -> None:
    model = make_model(LSTM, vocabulary=CharacterVocabulary("abc"), **LINES)
    model.network.weights["output.bias"][0] = 3  # ends soon
    with served(model) as server:
        one = server.post("/api/complete", {"prompt": "b", "temperature": 0}).json
        assert one["stopped"] == "end"
        more = server.post("/api/complete", {"prompt": "b", "temperature": 0, "again": True, "length": 50}).json
        assert more["stopped"] == "length"
        assert set(f"b{more['text']}".split("\n")[:-1]) == {f"b{one['text']}"}


def test_a_text_goes_on_from_its_ids_as_if_it_had_never_stopped(at_work: Served) -> None:
    body = {"prompt": "ab", "temperature": 0, "stream": True, "top": 3, "length": 60}
    tokens = [one for event in at_work.post("/api/complete", body).events[:-1] for one in event["tokens"]]
    ids = [*at_work.service.model.vocabulary.encode("ab").tolist(), *[token for token, _, _ in tokens[:20]]]
    again = {"ids": ids, "given": 2, "temperature": 0, "stream": True, "top": 3, "length": 40}
    assert [one for event in at_work.post("/api/complete", again).events[:-1] for one in event["tokens"]] == tokens[20:]


@BY_KIND
def test_next_and_score_are_what_next_tells(vocabulary: Any, prompt: str) -> None:
    model = make_model(LSTM, vocabulary=vocabulary)
    ids = vocabulary.encode_prompt(prompt)
    with served(model) as server:
        following = server.post("/api/next", {"text": prompt, "top": 4}).json["next"]
        best = most_probable(model, ids, 4)
        assert [one["id"] for one in following] == [token for token, _ in best]
        np.testing.assert_allclose([one["probability"] for one in following], [chance for _, chance in best], atol=1e-6)
        np.testing.assert_allclose([one["bits"] for one in following], [-np.log2(chance) for _, chance in best], atol=1e-5)
        score = server.post("/api/score", {"text": prompt}).json
        assert "".join(piece for piece, _ in score["pieces"]) == prompt
        known = [one for one in guesses(model, ids) if one.token not in vocabulary.silent_ids]
        assert score["bits"] == pytest.approx(-sum(np.log2(one.probability) for one in known), abs=1e-4)
        assert score["ids"] == ids.tolist()


def test_unknown_words_and_lengths_in_characters() -> None:
    vocabulary = WordVocabulary(["The", " cat", " sat", "."], num_characters=9)
    with served(make_model(LSTM, vocabulary=vocabulary)) as server:
        assert_refused(server.post("/api/complete", {"prompt": "The dog sat"}), 422, "never seen 'dog'")
        assert_refused(server.post("/api/next", {"text": "The dog"}), 422, "never seen 'dog'")
        for on_unknown in ("skip", "nearest"):
            body = {"prompt": "The dog sat ", "on_unknown": on_unknown, "length": 30, "random_seed": 1}
            answer = server.post("/api/complete", body).json
            assert answer["prompt"] == "The dog sat "
            assert 28 < len(answer["text"]) <= 30  # the first word's space is there already
            assert not answer["text"].startswith(" ")
            *events, last = server.post("/api/complete", body | {"stream": True, "every": 1}).events
            assert ("".join(one["text"] for one in events), last["stopped"]) == (answer["text"], "length")
            *events, _ = server.post("/api/complete", body | {"stream": True, "top": 1}).events
            told = [name for event in events for _, name, _ in event["tokens"]]
            assert "".join(told)[:30].removeprefix(" ") == answer["text"]  # whole tokens
        score = server.post("/api/score", {"text": "The dog cat"}).json
        assert (score["unknown"], [piece for piece, _ in score["pieces"]]) == (["dog"], ["The", " dog", " cat"])
        assert score["pieces"][1][1] is None


def test_at_temperature_zero_one_token_comes_next(at_work: Served) -> None:
    (one,) = at_work.post("/api/next", {"text": "ab", "temperature": 0}).json["next"]
    assert one["probability"] == 1
    assert one["id"] == at_work.post("/api/next", {"text": "ab", "top": 1}).json["next"][0]["id"]


def test_what_it_tells_of_the_model(at_work: Served) -> None:
    card = at_work.get("/api/model").json
    assert (card["cell"], card["hidden_size"], card["vocab_size"], card["tokens"]) == ("lstm", 5, 7, "character")
    assert card["parameters"] == at_work.service.model.network.num_parameters
    assert card["limits"] == {"length": 3000, "text": 20_000, "concurrent": 100, "seconds": 30.0}


def test_labels() -> None:
    model = make_model(LSTM, vocabulary=CharacterVocabulary("abc", ["x", "y"]), **LINES)
    with served(model) as server:
        for label in ("x", "y"):
            body = {"prompt": "a", "label": label, "random_seed": 5}
            assert server.post("/api/complete", body).json["text"] == sampled(model.with_label(label), "a", random_seed=5)
        assert_refused(server.post("/api/complete", {}), 422, "needs a label, choose one of x, y")
        assert_refused(server.post("/api/next", {"label": "z"}), 422, "never seen the label 'z'")


def assert_refused(answer: Any, status: int, *parts: str) -> None:
    assert (answer.status, answer.headers["content-type"]) == (status, "application/json")
    assert list(answer.json) == ["error"]
    assert "\n" not in answer.json["error"]
    for part in parts:
        assert part in answer.json["error"]


REFUSED: list[tuple[Any, int, str]] = [
    (b"", 422, "its JSON is broken"),
    (b"\xff", 422, "the body cannot be read"),
    (b"[1]", 422, "not a JSON object"),
    (b'{"prompt": "a", "prompt": "b"}', 422, "twice"),
    (b'{"temperature": NaN}', 422, "not a number"),
    (b'{"prompt": ' + b"[" * 9 + b"]" * 9 + b"}", 422, "nested deeper"),
    ({"promt": "a"}, 422, "did you mean prompt?"),
    ({"prompt": 3}, 422, "prompt is 3, expected a text"),
    ({"temperature": -1}, 422, "temperature is -1.0, expected 0 or more"),
    ({"temperature": "hot"}, 422, "expected a number"),
    ({"top_k": -1}, 422, "top_k is -1"),
    ({"top_p": 0}, 422, "top_p is 0.0, expected more than 0"),
    ({"length": 3001}, 422, "length is 3001, expected 3000 or less"),
    ({"length": -1}, 422, "length is -1"),
    ({"random_seed": -1}, 422, "random_seed is -1"),
    ({"stream": 1}, 422, "stream is 1, expected true or false"),
    ({"prompt": "aZ"}, 422, "the model has never seen 'Z' (U+005A)"),
    ({"prompt": "\ud800"}, 422, "never seen"),
    ({"ids": [1, 7]}, 422, "no token 7"),
    ({"ids": [10**30]}, 422, "31 digits"),
    ({"ids": [1], "prompt": "a"}, 422, "expected one of them"),
    ({"ids": [1], "given": 2}, 422, "given is 2"),
    ({"label": "x"}, 422, "never seen the label"),
    ({"top": 3}, 422, "need stream: true"),
    ({"prompt": "a" * 20_001}, 413, "expected 20,000 or less"),
    (b" " * 300_000, 413, "larger than 262,144 bytes"),
]


@pytest.mark.parametrize(("body", "status", "told"), REFUSED, ids=[told for _, _, told in REFUSED])
def test_bad_requests_get_one_sentence(body: Any, status: int, told: str, at_work: Served) -> None:
    assert_refused(at_work.post("/api/complete", body), status, told)
    if isinstance(body, dict) and "stream" not in body and "top" not in body:
        assert_refused(at_work.post("/api/complete", body | {"stream": True}), status, told)
    assert at_work.working == 0


@pytest.mark.parametrize("temperature", [1e-308, 5e-324])
def test_a_temperature_near_zero_takes_the_most_probable_token(temperature: float, at_work: Served) -> None:
    greedy = at_work.post("/api/next", {"temperature": 0, "top": 1}).json["next"][0]
    cold = at_work.post("/api/next", {"temperature": temperature, "top": 5}).json["next"]
    assert [(one["id"], one["probability"]) for one in cold] == [(greedy["id"], 1.0)]
    body = {"temperature": temperature, "length": 20}
    assert at_work.post("/api/complete", body).json == at_work.post("/api/complete", body | {"temperature": 0}).json


def test_half_a_surrogate_pair_is_no_byte() -> None:
    with served(make_model(LSTM, vocabulary=ByteVocabulary())) as server:
        assert_refused(server.post("/api/next", b'{"text": "\\ud800"}'), 422, "half of a surrogate pair")
        assert server.post("/api/next", b'{"text": "\\udcc3"}').status == 200


def test_other_paths_and_methods(at_work: Served) -> None:
    assert_refused(at_work.get("/api/nothing"), 404, "Not Found")
    assert_refused(at_work.get("/../../etc/passwd"), 404, "Not Found")
    assert_refused(at_work.get("/api/complete"), 405, "Method Not Allowed")
    assert_refused(at_work.post("/", {}), 405, "Method Not Allowed")


FOREIGN = ["evil.example", "127.0.0.1.evil.example", "192.168.0.1", "localhost.", "a b", "[::1", "", "127.0.0.1:x"]


@pytest.mark.parametrize("host", FOREIGN)
def test_foreign_hosts_are_refused(host: str, at_work: Served) -> None:
    assert_refused(at_work.get("/", Host=host), 403, "is not this server")
    assert_refused(at_work.post("/api/next", {}, Host=host), 403, "is not this server")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LOCALHOST:9", "127.0.0.1:8000"])
def test_own_hosts_are_not(host: str, at_work: Served) -> None:
    """The port may be another one: that of a tunnel."""
    assert at_work.get("/", Host=host).status == 200
    assert at_work.post("/api/next", {}, Host=host, Origin=f"http://{host}").status == 200


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "https://localhost:1", "http://localhost:2", "http://localhost"]
)
def test_foreign_origins_are_refused(origin: str, at_work: Served) -> None:
    assert_refused(at_work.post("/api/next", {}, Host="localhost:1", Origin=origin), 403, "the origin", "is not this server")


def test_on_all_addresses_it_is_called_by_numbers_and_its_own_names() -> None:
    with served(make_model(LSTM), host="0.0.0.0") as server:
        assert not server.address.is_local
        assert server.url == f"http://localhost:{server.port}/"
        for host in ("192.168.0.1:8000", "[fe80::1]", "localhost", socket.gethostname()):
            assert server.get("/", Host=host).status == 200
        assert server.get("/", Host="evil.example").status == 403


def test_every_answer_has_headers_that_keep_it_in_its_place(at_work: Served) -> None:
    answers = [at_work.get("/"), at_work.get("/api/model"), at_work.get("/no"), at_work.post("/api/complete", {"stream": True})]
    for answer in [*answers, at_work.get("/", Host="evil.example"), at_work.post("/api/next", b"")]:
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["x-frame-options"] == "DENY"
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert "server" not in answer.headers
        assert "access-control-allow-origin" not in answer.headers
    policy = answers[0].headers["content-security-policy"]
    assert "connect-src 'self'" in policy
    assert "unsafe" not in policy


def test_too_many_at_once_are_told_to_come_again() -> None:
    with served(make_model(LSTM), concurrent=2, queue=0, length=ENDLESS) as server:
        waiting = [server.begin({"length": ENDLESS, "stream": True}) for _ in range(2)]
        server.until(lambda: server.working == 2)
        refused = server.post("/api/next", {})
        assert_refused(refused, 429, "the server is answering 2 requests")
        assert refused.headers["retry-after"] == "1"
        assert server.get("/").status == 200
        for one in waiting:
            one.close()
        server.until(lambda: server.working == 0)
        assert server.post("/api/next", {}).status == 200


def test_time_is_limited() -> None:
    with served(make_model(LSTM), seconds=0.2, length=ENDLESS) as server:
        assert_refused(server.post("/api/complete", {"length": ENDLESS}), 503, "longer than 0.2 seconds")
        *_, last = server.post("/api/complete", {"length": ENDLESS, "stream": True}).events
        assert last == {"stopped": "time"}


def test_a_client_that_sends_half_is_let_go() -> None:
    with served(make_model(LSTM), seconds=0.1) as server, server.connect() as half:
        half.sendall(b"POST /api/next HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9\r\n\r\n{")
        assert half.recv(1000).startswith(b"HTTP/1.1 408 ")
        server.until(lambda: server.working == 0)


def test_a_client_that_does_not_read_is_let_go(at_work: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """A network buffer takes long to fill, so this one is none: the first event is never taken."""
    monkeypatch.setattr("chargen.serving.server.GRACE", 0.1)
    site = Site([("a", at_work.service.model)], Limits(seconds=0.1))
    logged: list[str] = []
    application = make_app(site, Access(address=at_work.address), log=logged.append, verbose=True)
    headers = [(b"host", b"localhost")]
    scope = {"type": "http", "method": "POST", "path": "/api/complete", "raw_path": b"/api/complete", "headers": headers}

    async def talk() -> None:
        messages = [{"type": "http.request", "body": b'{"stream": true}', "more_body": False}]

        async def receive() -> dict[str, Any]:
            return messages.pop() if messages else await asyncio.Future()

        async def send(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.body":
                await asyncio.Future()

        await application(scope, receive, send)

    with ThreadPoolExecutor(1) as threads:  # a browser that is open has a loop of its own in this one
        threads.submit(lambda: asyncio.run(talk())).result()
    site.close()
    assert site.turns.working == 0
    assert " gone " in logged[0]


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_goes_ends_its_generation(stream: bool) -> None:
    with served(make_model(LSTM), length=ENDLESS) as server:
        opened = server.begin({"length": ENDLESS, "stream": stream})
        if stream:
            assert opened.recv(100).startswith(b"HTTP/1.1 200")
        server.until(lambda: server.working == 1)
        opened.close()
        server.until(lambda: server.working == 0)
        server.until(lambda: bool(server.logged))
        assert " gone " in server.logged[-1]


def test_a_hundred_clients_at_once() -> None:
    model = make_model(LSTM)
    with served(model, seconds=300) as server, ThreadPoolExecutor(100) as clients:

        def ask(seed: int) -> str:
            events = server.post("/api/complete", {"random_seed": seed, "stream": True, "length": 100, "every": 10}).events
            return "".join(one.get("text", "") for one in events)

        assert list(clients.map(ask, range(100))) == [sampled(model, "", random_seed=seed, length=100) for seed in range(100)]
        assert server.working == 0


def test_the_log_is_one_line_a_request_in_which_nothing_is_active(at_work: Served) -> None:
    at_work.logged.clear()
    assert at_work.get("/%1b%5b31m%0a").status == 404
    with at_work.connect() as opened:
        opened.sendall(b"GET /\x1b[31m\x9b HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
        opened.recv(1000)
    at_work.until(lambda: bool(at_work.logged))
    assert all(line.isprintable() for line in at_work.logged)
    assert undated(at_work.logged[0]).startswith("127.0.0.1 GET /%1b%5b31m%0a 404 ")


def test_an_error_of_ours_is_told_in_one_line(at_work: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object) -> None:
        raise ZeroDivisionError("a\nb\x1b")

    at_work.logged.clear()
    monkeypatch.setattr("chargen.serving.jobs.Reading.best", fail)
    assert_refused(at_work.post("/api/next", {}), 500, "internal error")
    at_work.until(lambda: bool(at_work.logged))
    assert undated(at_work.logged[0]) == "internal error: ZeroDivisionError: a b\u241b"


def test_what_is_under_way_ends_with_the_server() -> None:
    with served(make_model(LSTM), length=ENDLESS) as server:
        response = server.open("POST", "/api/complete", json.dumps({"length": ENDLESS, "stream": True}).encode())
    *_, last = response.read().split(b"\n\n")[:-1]
    assert last == b'data: {"stopped": "server"}'


def test_jobs_that_take_turns_keep_their_own_states() -> None:
    model = make_model(NetworkConfig(cell="gru", hidden_size=5, embedding_size=4, num_layers=2))
    with served(model) as server, ThreadPoolExecutor(6) as clients:
        written = clients.map(lambda seed: server.post("/api/complete", {"random_seed": seed, "length": 500}).json, range(6))
        assert [one["text"] for one in written] == [sampled(model, "", random_seed=seed, length=500) for seed in range(6)]

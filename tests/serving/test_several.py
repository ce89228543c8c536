"""Several and selected texts from the server: count, lengths, must_contain, novel and stop, as in `chargen sample`."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from chargen.cli.serve import _novelty
from chargen.corpus.vocabulary import CharacterVocabulary
from chargen.network.model_file import TextModel
from chargen.settings.schema import NetworkConfig
from chargen.settings.writing import WritingOptions
from chargen.writing.request import make_request
from tests.export.forms import make_model, several, with_memory
from tests.serving.served import Served, served

LSTM = NetworkConfig(hidden_size=5, embedding_size=4)


def names() -> TextModel:
    return make_model(LSTM, vocabulary=CharacterVocabulary("abc"), reading="line", primer=(0,), ends=True)


@pytest.fixture(scope="module")
def server() -> Iterator[Served]:
    with served(names(), make_model(LSTM)) as started:
        yield started


def ask(server: Served, path: str = "/api/complete", **body: Any) -> Any:
    answer = server.post(path, body)
    assert answer.status == 200, answer.content
    return answer.json


def test_the_first_of_several_is_the_one_of_one(server: Served) -> None:
    one = ask(server, prompt="a", random_seed=3)
    several = ask(server, prompt="a", random_seed=3, count=5)
    assert several["texts"][0] == one["text"]
    assert several["stopped"][0] == one["stopped"]
    assert len(set(several["texts"])) == len(several["texts"]) == 5
    assert several == ask(server, prompt="a", random_seed=3, count=5)


@pytest.mark.parametrize("path", ["/api/complete", "/models/b/api/complete"])
def test_a_cache_writes_what_sample_writes(server: Served, path: str) -> None:
    asked = {"prompt": "abcab", "random_seed": 3, "length": 300}
    model = server.site.services["b" if "b/" in path else "a"].model
    expected = make_request(model, "abcab", WritingOptions(count=1, random_seed=3, length=300, cache=0.9))
    found = ask(server, path, **asked, cache=0.9)["text"]
    assert "abcab" + found == "".join(expected.stream())
    assert path == "/api/complete" or found != ask(server, path, **asked)["text"]  # a name is too short for a difference


def test_a_model_of_several_networks_writes_what_sample_writes() -> None:
    with served(with_memory(several())) as server:
        assert server.get("/api/model").json["networks"] == 3
        model = server.site.services["a"].model
        expected = make_request(model, "ab", WritingOptions(count=1, random_seed=3, length=60))
        assert "ab" + ask(server, prompt="ab", random_seed=3, length=60)["text"] == "".join(expected.stream())


def test_texts_satisfy_the_conditions(server: Served) -> None:
    found = ask(server, prompt="a", count=4, min_length=4, max_length=9, must_contain="b", random_seed=1)
    texts = ["a" + text for text in found["texts"]]
    assert len(texts) == 4
    assert all(4 <= len(text) <= 9 and "b" in text for text in texts)
    assert set(found["stopped"]) == {"end"}
    assert len(ask(server, min_length=6, random_seed=2)["text"]) >= 6


def test_stop_is_cut_off_in_one_piece_and_in_a_stream(server: Served) -> None:
    path, body = "/models/b/api/complete", {"prompt": "ab", "length": 300, "random_seed": 4}
    whole = ask(server, path, **body)["text"]
    stop = [whole[20:23], "never"]
    cut = ask(server, path, **body, stop=stop)
    assert (cut["text"], cut["stopped"]) == (whole[: whole.index(stop[0])], "until")
    *events, last = server.post(path, body | {"stop": stop, "stream": True}).events
    assert "".join(one["text"] for one in events) == cut["text"]
    assert last == {"stopped": "until"}


@pytest.mark.parametrize(
    ("body", "part"),
    [
        ({"stream": True, "count": 2}, "need stream: false"),
        ({"stream": True, "top": 3, "stop": "a"}, "exclude each other"),
        ({"novel": True}, "does not have"),
        ({"max_length": 5, "length": 9}, "length and max_length exclude each other"),
        ({"min_length": 9, "max_length": 5}, "min_length 9 is more than max_length 5"),
        ({"must_contain": "xyz"}, "no text can contain"),
        ({"must_contain": "abcabcabc", "tries": 2, "random_seed": 1}, "of 2 drawn texts satisfy"),
        ({"max_length": 10**9}, "max_length is 1000000000, expected 10000 or less"),
        ({"count": 0}, "count"),
    ],
)
def test_what_cannot_be_is_refused(body: dict[str, Any], part: str, server: Served) -> None:
    answer = server.post("/api/complete", body)
    assert answer.status == 422
    assert part in answer.json["error"]


def test_min_length_needs_lines(server: Served) -> None:
    for more in ({}, {"stream": True}):
        answer = server.post("/models/b/api/complete", {"min_length": 3} | more)
        assert (answer.status, "needs a model of lines" in answer.json["error"]) == (422, True)


def test_new_texts_are_not_in_the_corpus(write_trained: Callable[..., Path], in_folder: Path) -> None:
    (in_folder / "names.txt").write_text("a\nb\nc\nab\n", encoding="utf-8")
    path = write_trained(files=("names.txt",), reading="line", validation_split=0.0)
    with served(names(), novelty={"a": _novelty(path, "line")}) as server:
        found = ask(server, count=6, novel=True, random_seed=5)["texts"]
        assert len(found) == 6
        assert not set(found) & {"a", "b", "c", "ab"}
        plain = ask(server, count=6, random_seed=5)["texts"]
        assert set(plain) & {"a", "b", "c", "ab"}
        (in_folder / "names.txt").unlink()
        assert ask(server, count=1, novel=True)["texts"]  # it was read before


def test_the_time_limit_is_that_of_all_texts() -> None:
    with served(names(), seconds=0.3) as server:
        assert server.post("/api/complete", {"count": 10_000_000, "distinct": False}).status == 503

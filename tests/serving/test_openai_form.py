"""The form of OpenAI's API, asked by their own client and by hand, and what is told of the server."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from chargen.corpus.vocabulary import CharacterVocabulary
from chargen.serving.openai_form import StopBefore
from chargen.settings.schema import NetworkConfig
from chargen.settings.writing import WritingOptions
from chargen.writing.request import make_request
from tests.export.forms import make_model
from tests.serving.served import Served, served

LSTM = NetworkConfig(hidden_size=5, embedding_size=4)
GRU = NetworkConfig(cell="gru", hidden_size=5, embedding_size=4)


@pytest.fixture(scope="module")
def at_work() -> Iterator[Served]:
    with served(make_model(LSTM), make_model(GRU)) as server:
        yield server


@pytest.fixture
def client(at_work: Served) -> Any:
    openai = pytest.importorskip("openai", reason="openai is not installed")
    return openai.OpenAI(base_url=f"{at_work.url}v1", api_key="unused", max_retries=0)


def sampled(server: Served, name: str, prompt: str, **options: Any) -> str:
    """Return what `chargen sample` would write after a prompt."""
    request = make_request(server.site.services[name].model, prompt, WritingOptions(count=1, **options))
    return "".join(request.stream()).removeprefix(prompt)


def test_their_client_writes_what_sample_writes(client: Any, at_work: Served) -> None:
    assert [one.id for one in client.models.list()] == ["a", "b"]
    for name in ("a", "b"):
        answer = client.completions.create(model=name, prompt="ab", max_tokens=30, temperature=0.8, top_p=0.9, seed=4)
        expected = sampled(at_work, name, "ab", length=30, temperature=0.8, top_p=0.9, random_seed=4)
        assert (answer.choices[0].text, answer.choices[0].finish_reason) == (expected, "length")
        assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (2, 30, 32)


def test_their_client_reads_a_stream(client: Any, at_work: Served) -> None:
    events = list(client.completions.create(model="a", prompt="a", max_tokens=50, seed=1, stream=True))
    assert "".join(one.choices[0].text for one in events) == sampled(at_work, "a", "a", length=50, random_seed=1)
    assert [one.choices[0].finish_reason for one in events[-2:]] == [None, "length"]


def test_a_stream_ends_as_they_expect(at_work: Served) -> None:
    response = at_work.open("POST", "/v1/completions", b'{"stream": true, "max_tokens": 2}')
    assert response.read().endswith(b"data: [DONE]\n\n")


def test_several_choices(client: Any, at_work: Served) -> None:
    answer = client.completions.create(model="a", prompt=["a", "b"], n=2, max_tokens=9, seed=5)
    assert [one.index for one in answer.choices] == [0, 1, 2, 3]
    expected = [sampled(at_work, "a", prompt, length=9, random_seed=seed) for prompt in "ab" for seed in (5, 6)]
    assert [one.text for one in answer.choices] == expected
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (2, 36)


def test_it_stops_before_a_text(client: Any, at_work: Served) -> None:
    whole = sampled(at_work, "a", "a", length=200, random_seed=1)
    stop = whole[40:43]
    for stream in (False, True):
        answer = client.completions.create(model="a", prompt="a", max_tokens=200, seed=1, stop=["zz", stop], stream=stream)
        choices = [one.choices[0] for one in answer] if stream else answer.choices
        assert "".join(one.text for one in choices) == whole[: whole.index(stop)]
        assert choices[-1].finish_reason == "stop"


def test_log_probabilities_and_echo(client: Any) -> None:
    answer = client.completions.create(model="a", prompt="ab", max_tokens=5, temperature=0, logprobs=3, echo=True)
    choice = answer.choices[0]
    assert choice.text == "ab" + "".join(choice.logprobs.tokens)
    assert choice.logprobs.text_offset == [2, 3, 4, 5, 6]
    for token, nats, likely in zip(
        choice.logprobs.tokens, choice.logprobs.token_logprobs, choice.logprobs.top_logprobs, strict=True
    ):
        assert len(likely) == 3
        assert max(likely, key=lambda one: likely[one]) == token
        assert likely[token] == pytest.approx(nats)


def test_a_line_ends(at_work: Served) -> None:
    model = make_model(LSTM, vocabulary=CharacterVocabulary("abc"), reading="line", primer=(0,), ends=True)
    model.network.weights["output.bias"][0] = 3
    with served(model) as server:
        choice = server.post("/v1/completions", {"max_tokens": 100, "seed": 1}).json["choices"][0]
        assert (choice["finish_reason"], choice["text"]) == ("stop", sampled(server, "a", "", random_seed=1))
        assert server.post("/v1/completions", {"max_tokens": 0}).json["choices"][0]["text"] == ""


@pytest.mark.parametrize(
    ("body", "status", "told"),
    [
        ({"model": "x"}, 404, "no such model: 'x'; models: a, b"),
        ({"temperature": []}, 422, "temperature is empty, expected one number or more"),
        ({"best_of": 2}, 422, "best_of is 2, expected 1 or less"),
        ({"presence_penalty": 1}, 422, "presence_penalty"),
        ({"suffix": "x"}, 422, "unknown field 'suffix'"),
        ({"prompt": "Z"}, 422, "never seen 'Z'"),
        ({"n": 0}, 422, "n is 0, expected 1 or more"),
    ],
)
def test_errors_have_their_form(body: Any, status: int, told: str, at_work: Served) -> None:
    answer = at_work.post("/v1/completions", body)
    assert answer.status == status
    assert told in answer.json["error"]["message"]
    assert answer.json["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize("pieces", [["ab", "cd"], ["a", "b", "c", "d"], ["abcd"]])
def test_text_that_may_be_a_stop_is_held_back(pieces: list[str]) -> None:
    stop = StopBefore(("bx", "cde"))
    assert "".join(map(stop.cut, pieces)) + stop.rest() == "abcd"
    assert not stop.found
    assert stop.cut("bx") == ""
    assert stop.found


def test_each_model_has_its_own_place(at_work: Served) -> None:
    for name in ("a", "b"):
        card = at_work.get(f"/models/{name}/api/model").json
        assert card["cell"] == at_work.site.services[name].model.network.config.cell
        assert at_work.get(f"/models/{name}/").status == 200
    body = {"prompt": "a", "random_seed": 3, "until": "b", "repetition_penalty": 1.3}
    expected = sampled(at_work, "b", "a", until="b", random_seed=3, repetition_penalty=1.3)
    assert at_work.post("/models/b/api/complete", body).json["text"] == expected


def test_what_is_told_of_the_server(at_work: Served) -> None:
    at_work.post("/api/next", {})
    at_work.get("/nothing")
    text = at_work.get("/metrics").content.decode()
    assert 'chargen_requests_total{path="/api/next",status="200"}' in text
    assert 'path="other",status="404"' in text
    described = at_work.get("/openapi.json").json
    assert {"/api/complete", "/models/b/api/next", "/v1/completions", "/metrics"} <= described["paths"].keys()
    body = described["paths"]["/api/complete"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert body["properties"]["top_p"]["anyOf"][0] == {"type": "number", "maximum": 1.0, "exclusiveMinimum": 0.0}
    assert json.dumps(described)

"""Draws that go on from earlier requests with the same seed."""

import pytest

from chargen.settings.schema import NetworkConfig
from tests.export.forms import make_model
from tests.serving.served import served


@pytest.mark.parametrize("cuts", [(40,), (1, 20), (13, 13, 14)])
def test_several_requests_draw_what_one_draws(cuts: tuple[int, ...]) -> None:
    model = make_model(NetworkConfig(hidden_size=5, embedding_size=4))
    with served(model) as server:
        whole = server.post("/api/complete", {"prompt": "ab", "length": sum(cuts), "random_seed": 5}).json["text"]
        ids, drawn, text = [1, 2], 0, ""
        for length in cuts:
            body = {"ids": ids, "given": 2, "length": length, "random_seed": 5, "drawn": drawn, "top": 1, "stream": True}
            *events, _ = server.post("/api/complete", body).events
            tokens = [token for event in events for token in event["tokens"]]
            ids, drawn = ids + [token for token, *_ in tokens], drawn + len(tokens)
            text += "".join(name for _, name, _ in tokens)
    assert text == whole[: len(text)]
    assert len(text) == sum(cuts)

import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargen.errors import ConfigError
from chargen.settings.layers import read_config, read_run_config, resolve
from chargen.settings.schema import COMMAND_LINE, Settings, declared_settings
from chargen.shipped import shipped_files


def test_without_layers_everything_is_default() -> None:
    resolved = resolve()
    assert resolved.settings == Settings()
    assert set(resolved.origin.values()) == {"default"}
    assert len(resolved.origin) == len(list(declared_settings()))


def test_later_layers_win_and_origins_are_told() -> None:
    resolved = resolve(
        ("a.toml", {"network": {"cell": "gru", "hidden_size": 7}, "training": {"epochs": 2}}),
        (COMMAND_LINE, {"network": {"hidden_size": 9}}),
    )
    assert (resolved.settings.network.cell, resolved.settings.network.hidden_size) == ("gru", 9)
    assert resolved.origin["network.cell"] == "a.toml"
    assert resolved.origin["network.hidden_size"] == COMMAND_LINE
    assert resolved.origin["network.num_layers"] == "default"


@pytest.mark.parametrize(
    ("sections", "told", "hint"),
    [
        ({"network": {"hidden_sizes": 3}}, "x: unknown key network.hidden_sizes", "did you mean hidden_size?"),
        ({"network": {"zzz": 3}}, "unknown key network.zzz", "known: cell"),
        ({"netwrk": {}}, "unknown section [netwrk]", "did you mean network?"),
        ({"epochs": 3}, "unknown key epochs", "known: corpus"),
        ({"network": 3}, "network is 3, expected a section", None),
        ({"network": {"hidden_size": "big"}}, "x: network.hidden_size is 'big', expected a whole number", None),
        ({"network": {"hidden_size": True}}, "is True, expected a whole number", None),
        ({"network": {"hidden_size": 2.0}}, "is 2.0, expected a whole number", None),
        ({"training": {"stateful": 1}}, "is 1, expected true or false", None),
        ({"training": {"learning_rate": "fast"}}, "expected a number", None),
        ({"samples": {"diversity": {}}}, "is {}, expected a number", None),
        ({"samples": {"diversity": [0.5, "hot"]}}, "is 'hot', expected a number", None),
        ({"network": {"cell": "lstn"}}, "is 'lstn', expected one of simplernn, dense, lstm, mlstm, gru", None),
        ({"network": {"num_layers": 0}}, "is 0, expected 1 or more", None),
        ({"network": {"dropout": 0.96}}, "is 0.96, expected 0.95 or less", None),
        ({"training": {"learning_rate": 0}}, "is 0.0, expected more than 0", None),
        ({"training": {"learning_rate": float("inf")}}, "expected a finite number", None),
        ({"training": {"clip_norm": float("nan")}}, "expected a finite number", None),
        ({"training": {"stateful": True}, "corpus": {"reading": "line"}}, "training.stateful", "--per-line"),
        ({"training": {"stateful": True, "stride": 3, "context_length": 4}}, "training.stride = 3", "--stride"),
        ({"network": {"activation": "relu"}}, "activation = relu is for simplernn and dense, but the cell is lstm", None),
        ({"network": {"cell": "gru", "recurrent_init": "identity"}}, "identity is for simplernn and dense", None),
        ({"network": {"embedding_norm": "batch", "embedding_size": 0}}, "embedding_norm needs an embedding", "--embedding"),
        ({"training": {"epochs": 4, "warmup_epochs": 4}}, "warmup_epochs = 4 is as long as the training", "--epochs"),
        ({"training": {"epochs": 3, "schedule": "step"}}, "decay_epochs = 3 is as long as the training", "--decay-epochs"),
        ({"training": {"schedule": "plateau", "warmup_epochs": 1}}, "conflicts with the plateau schedule", "cosine"),
        ({"training": {"clip_value": 5}}, "clip_norm = 1 and training.clip_value = 5 exclude", "--clip-norm"),
        ({"corpus": {"vocab_size": 9}}, "vocab_size is for word and bpe tokens, but corpus.tokens is char", None),
        ({"corpus": {"separator": "%", "reading": "line"}}, "both split the text", "--per-line"),
        ({"corpus": {"mix": ["a:1"]}, "training": {"stateful": True}}, "stateful reads one text", "--mix"),
        ({"network": {"layer_norm": True}}, "layer_norm is applied between recurrent layers", "--layers 2"),
        (
            {"network": {"cell": "dense", "recurrent_dropout": 0.1}},
            "recurrent_dropout is not available for",
            "--cell simplernn",
        ),
        ({"network": {"cell": "dense"}, "training": {"stateful": True}}, "dense starts each window", "--cell simplernn"),
    ],
)
def test_what_cannot_be_is_refused(sections: dict[str, Any], told: str, hint: str | None) -> None:
    with pytest.raises(ConfigError) as refused:
        resolve(("x", sections))
    assert told in refused.value.message
    assert (hint is None) or hint in str(refused.value.hint)


def test_the_command_line_is_told_by_its_flags() -> None:
    with pytest.raises(ConfigError, match="--layers is 0"):
        resolve((COMMAND_LINE, {"network": {"num_layers": 0}}))


def test_whole_numbers_will_do_for_numbers() -> None:
    settings = resolve(("x", {"training": {"learning_rate": 1}, "samples": {"diversity": [1]}})).settings
    assert (settings.training.learning_rate, settings.samples.diversity) == (1.0, (1.0,))
    assert type(settings.training.learning_rate) is float


@given(
    st.fixed_dictionaries(
        {
            "corpus": st.fixed_dictionaries({"files": st.lists(st.text(st.characters(exclude_categories=["Cs"])))}),
            "network": st.fixed_dictionaries(
                {"cell": st.sampled_from(["lstm", "gru"]), "dropout": st.floats(0, 0.95), "hidden_size": st.integers(1, 9999)}
            ),
            "training": st.fixed_dictionaries({}, optional={"context_length": st.integers(1, 99), "stateful": st.booleans()}),
            "samples": st.fixed_dictionaries({"diversity": st.lists(st.floats(0, 9))}),
        }
    )
)
def test_settings_survive_toml(sections: dict[str, Any]) -> None:
    settings = resolve(("x", sections)).settings
    assert resolve(("x", tomllib.loads(settings.to_toml()))).settings == settings


@pytest.mark.parametrize("name", [path.stem for path in shipped_files("configs")])
def test_every_shipped_config_resolves_by_name(name: str, in_folder: Path) -> None:
    label, sections = read_config(name)
    assert label == f"{name}.toml"
    assert resolve((label, sections))
    assert read_config(f"{name}.toml") == (label, sections)


def test_a_config_is_read_by_path(in_folder: Path) -> None:
    (in_folder / "mine.toml").write_text("[network]\ncell = 'gru'\n", encoding="utf-8")
    assert read_config("mine.toml") == ("mine.toml", {"network": {"cell": "gru"}})
    assert read_config(str(in_folder / "mine.toml"))[1] == {"network": {"cell": "gru"}}


@pytest.mark.parametrize(
    ("content", "told"), [(b"= 1", "is not TOML"), (b"\xff", "not UTF-8 text"), (None, "no such config: mine.toml")]
)
def test_a_config_that_cannot_be_read_is_refused(content: bytes | None, told: str, in_folder: Path) -> None:
    if content is not None:
        (in_folder / "mine.toml").write_bytes(content)
    with pytest.raises(ConfigError, match=told):
        read_config("mine.toml")


def test_a_run_that_knows_nothing_of_a_setting_is_read_as_it_was_trained(in_folder: Path) -> None:
    (in_folder / "config.toml").write_text("[corpus]\nencoding = 'utf-8'\n", encoding="utf-8")
    _, sections = read_run_config(in_folder / "config.toml")
    assert sections["corpus"]["encoding"] == "utf-8"
    assert sections["corpus"]["validation"] == "tail"
    assert read_config("config.toml")[1] == {"corpus": {"encoding": "utf-8"}}
    (in_folder / "config.toml").write_text("[corpus]\nvalidation = 'spread'\n", encoding="utf-8")
    assert read_run_config(in_folder / "config.toml")[1]["corpus"]["validation"] == "spread"
    (in_folder / "config.toml").write_text("", encoding="utf-8")
    assert resolve(read_run_config(in_folder / "config.toml")).settings.corpus.validation == "tail"

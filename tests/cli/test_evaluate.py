import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

Invoke = Callable[..., Result]
WriteRun = Callable[..., Path]

PROSE = "the cat sat on the mat.\nthe dog sat on the log.\n" * 12
SMALL = (
    "--hidden-size",
    4,
    "--embedding",
    3,
    "--epochs",
    1,
    "--sample-every",
    0,
    "--context-length",
    8,
    "--no-memory",
    "--backend",
    "numpy",
    "-q",
)


@pytest.fixture
def run(invoke: Invoke, in_folder: Path) -> str:
    """The name of a run on prose.txt."""
    (in_folder / "prose.txt").write_text(PROSE, encoding="utf-8")
    result = invoke("train", "prose.txt", *SMALL)
    assert result.exit_code == 0, result.output
    return Path(result.stdout.strip()).name


@pytest.mark.usefixtures("run")
def test_a_table_of_the_newest_run(invoke: Invoke) -> None:
    result = invoke("evaluate", "--training", "--cache", "--dynamic")
    heading, *lines = result.stdout.splitlines()
    assert heading.split() == ["nats/char", "bits/char", "perplexity"]
    names = [line[: heading.index("nats")].strip() for line in lines]
    adapted = ["stream, cache", "stream, dynamic"]
    model = ["stream", "blocks of 256", *adapted, "stream, training part", "blocks of 256, training part"]
    assert names == [*model, *(f"{order}-gram" for order in range(1, 7)), "gzip", "xz"]
    nats, bits, perplexity = map(float, lines[0][heading.index("nats") :].split())
    assert (bits, perplexity) == (pytest.approx(nats / 0.6931, abs=1e-3), pytest.approx(2.71828**nats, rel=1e-3))
    assert "58 characters held out of 576" in result.stderr


def test_as_json(run: str, invoke: Invoke) -> None:
    result = invoke("evaluate", run, "--no-baselines", "--block-length", 5, "--json", "-q")
    told = json.loads(result.stdout)
    assert result.stderr == ""
    assert (told["models"], told["files"], told["block_length"]) == ([f"runs/{run}/model.safetensors"], [], 5)
    assert [(row["name"], row["kind"], row["part"]) for row in told["results"]] == [
        ("stream", "model", "held out"),
        ("blocks of 5", "model", "held out"),
    ]
    assert {row["characters"] for row in told["results"]} == {59}


@pytest.mark.parametrize("named", [True, False])
def test_another_text_is_measured_whole(named: bool, run: str, invoke: Invoke, in_folder: Path) -> None:
    (in_folder / "other.txt").write_text("the mat\n" * 9, encoding="utf-8")
    result = invoke("evaluate", *([run] if named else []), "other.txt", "--json")
    told = json.loads(result.stdout)["results"]
    assert {(row["part"], row["characters"]) for row in told} == {("file", 73)}
    assert len(told) == 2 + 8


def test_the_text_of_the_training_is_told_of(run: str, invoke: Invoke) -> None:
    told = invoke("evaluate", run, "prose.txt").stderr
    assert "the training text of the model" in told
    assert "differs from the training text" not in told


def test_a_model_file_needs_a_text_and_has_no_baselines(run: str, invoke: Invoke, in_folder: Path) -> None:
    (in_folder / f"runs/{run}/model.safetensors").rename(in_folder / "alone.safetensors")
    result = invoke("evaluate", "alone.safetensors", "prose.txt", "--json")
    assert [row["name"] for row in json.loads(result.stdout)["results"]] == ["stream", "blocks of 256"]
    assert result.stderr.count("the training text is not available") == 1
    assert "no baselines: the training text is not available: . has no config.toml" in result.stderr
    result = invoke("evaluate", "alone.safetensors")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "has no config.toml" in result.stderr
    result = invoke("evaluate", "alone.safetensors", "prose.txt", "--dynamic")
    assert result.exit_code == 2
    assert "not available" in result.stderr.splitlines()[-1]


def test_the_last_model_of_a_run_is_measured_on_its_held_out_part(run: str, invoke: Invoke) -> None:
    told = json.loads(invoke("evaluate", f"runs/{run}/last.safetensors", "--no-baselines", "--json").stdout)
    assert told["models"][0].endswith("last.safetensors")
    assert told["results"][0]["part"] == "held out"


def test_a_text_that_has_changed_is_refused(run: str, invoke: Invoke, in_folder: Path) -> None:
    (in_folder / "prose.txt").write_text(PROSE + "x", encoding="utf-8")
    result = invoke("evaluate", run)
    assert (result.exit_code, result.stdout) == (2, "")
    assert f"the text that runs/{run} was trained on cannot be used: it has changed" in result.stderr
    (in_folder / "prose.txt").unlink()
    result = invoke("evaluate", run)
    assert result.exit_code == 2
    assert "was trained on cannot be used: no such file: prose.txt" in result.stderr


def test_standard_input_is_gone(invoke: Invoke) -> None:
    assert invoke("train", "-", *SMALL, input=PROSE).exit_code == 0
    result = invoke("evaluate", input=PROSE)
    assert result.exit_code == 2
    assert "standard input, which cannot be read again" in result.stderr
    result = invoke("evaluate", "-", "--json", input=PROSE)  # a text by that name is read
    assert result.exit_code == 0
    assert "was trained on standard input" in result.stderr


def test_nothing_held_out(invoke: Invoke, in_folder: Path) -> None:
    (in_folder / "prose.txt").write_text(PROSE, encoding="utf-8")
    assert invoke("train", "prose.txt", *SMALL, "--validation-split", 0).exit_code == 0
    assert "has no validation split" in invoke("evaluate").stderr


def test_characters_that_the_model_has_never_seen(run: str, invoke: Invoke, in_folder: Path) -> None:
    (in_folder / "other.txt").write_text("the Cat\n" * 9, encoding="utf-8")
    result = invoke("evaluate", run, "other.txt")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "'C'" in result.stderr.splitlines()[-1]
    for how, characters in (("skip", 7 * 9 + 1), ("nearest", 8 * 9 + 1)):
        told = json.loads(invoke("evaluate", run, "other.txt", "--on-unknown", how, "--json").stdout)
        assert told["results"][0]["characters"] == characters


def test_labels(invoke: Invoke, write_run: WriteRun, in_folder: Path) -> None:
    write_run(labels=("x", "y"))
    (in_folder / "text.txt").write_text("abcabc\nabc", encoding="utf-8")
    for given, told in (((), "choose --label from x, y"), (("--label", "z"), "never seen the label 'z'")):
        result = invoke("evaluate", "text.txt", *given)
        assert result.exit_code == 2
        assert told in result.stderr
    figures = [json.loads(invoke("evaluate", "text.txt", "--label", one, "--json").stdout)["results"] for one in "xy"]
    assert figures[0] != figures[1]
    assert "no FILE is given" in invoke("evaluate", "--label", "x").stderr


def test_several_runs_are_measured_together(run: str, invoke: Invoke, in_folder: Path) -> None:
    other = Path(invoke("train", "prose.txt", *SMALL, "--cell", "gru").stdout.strip()).name

    def measured(*given: str) -> dict[str, float]:
        told = json.loads(invoke("evaluate", *given, "--json", "-q").stdout)
        assert told["models"] == [f"runs/{name}/model.safetensors" for name in given if name != "other.txt"]
        return {row["name"]: row["cross_entropy"] for row in told["results"]}

    (in_folder / "other.txt").write_text("the dog sat on the cat.\n", encoding="utf-8")
    for files in ((), ("other.txt",)):
        one, two, both = measured(run, *files), measured(other, *files), measured(run, other, *files)
        assert both.keys() == one.keys()
        assert all(both[name] <= (one[name] + two[name]) / 2 for name in ("stream", "blocks of 256"))
        assert both["6-gram"] == one["6-gram"]
    heading = invoke("evaluate", run, other, "--no-baselines").stderr.splitlines()
    assert heading[:2] == [
        f"runs/{run}/model.safetensors: lstm 1x4",
        f"runs/{other}/model.safetensors: gru 1x4; 58 characters held out of 576",
    ]
    refused = invoke("evaluate", run, other, "--dynamic")
    assert (refused.exit_code, "--dynamic adapts one model, 2 are given" in refused.stderr) == (2, True)


def test_runs_that_held_out_different_texts_are_not_measured_together(run: str, invoke: Invoke, in_folder: Path) -> None:
    (in_folder / "other.txt").write_text(PROSE.replace("cat", "tac"), encoding="utf-8")
    other = Path(invoke("train", "other.txt", *SMALL).stdout.strip()).name
    refused = invoke("evaluate", run, other)
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert f"runs/{other} and runs/{run} have different validation splits" in refused.stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["missing"], "no such run or text: missing"),
        (["missing.safetensors"], "no such run: missing.safetensors"),
        (["--block-length", "1"], "--block-length"),
        (["--dynamic-rate", "0"], "--dynamic-rate"),
        (["critic"], "runs/critic has no config.toml"),
        (["critic", "--dynamic"], "--dynamic is for runs that write text, but runs/critic/model.safetensors is a classifier"),
        (["critic", "noise"], "a classifier is evaluated alone"),
    ],
)
def test_what_cannot_be_measured(
    arguments: list[str], told: str, invoke: Invoke, write_run: WriteRun, write_classifier: Callable[..., Path]
) -> None:
    write_classifier("critic")
    write_run()
    result = invoke("evaluate", *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    (line,) = result.stderr.splitlines()
    assert told in line


def test_no_run(invoke: Invoke) -> None:
    assert "no trained run" in invoke("evaluate").stderr


def test_positions_of_a_window(run: str, invoke: Invoke) -> None:
    """Together the positions cost what blocks of the same length do, and the first ones, without context, cost more."""
    told = json.loads(invoke("evaluate", run, "--positions", "--json").stdout)["positions"]
    assert [row["position"] for row in told] == list(range(1, 9))
    blocks = json.loads(invoke("evaluate", run, "--no-baselines", "--block-length", 8, "--json").stdout)["results"][1]
    assert sum(row["tokens"] for row in told) == blocks["characters"]
    nats = sum(row["tokens"] * row["nats"] for row in told)
    assert nats / blocks["characters"] == pytest.approx(blocks["cross_entropy"])
    heading, *lines = invoke("evaluate", run, "--positions").stdout.splitlines()
    assert heading.split() == ["position", "tokens", "nats/token"]
    assert [line.split()[2] for line in lines] == [f"{row['nats']:.4f}" for row in told]


def test_positions_need_one_network_that_predicts_at_each(run: str, invoke: Invoke) -> None:
    last = Path(invoke("train", "prose.txt", *SMALL, "--targets", "last").stdout.strip()).name
    for arguments, told in (
        ((last,), "predicts after the last of a window"),
        ((run, run), "--positions measures one network"),
        ((run, "--dynamic"), "--positions is measured alone"),
    ):
        result = invoke("evaluate", *arguments, "--positions", "-q")
        assert (result.exit_code, result.stdout) == (2, "")
        assert told in result.stderr

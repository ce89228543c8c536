"""The shipped networks are found by name, write, and are trained on the shipped texts."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from click.testing import Result

from chargen.cli.completing import complete_runs
from chargen.cli.sample import command as sample
from chargen.network.model_file import load_model, read_metadata
from chargen.runs.directory import find_model, names_run
from chargen.shipped import shipped_files, shipped_models

Invoke = Callable[..., Result]


def test_they_are_small() -> None:
    assert set(shipped_models()) == {"shipped/names", "shipped/book"}
    assert all(path.stat().st_size < 400_000 for path in shipped_models().values())


@pytest.mark.parametrize(("name", "texts"), [("shipped/names", ("male", "female")), ("shipped/book", ("book",))])
def test_they_have_read_the_texts_that_come_along(name: str, texts: tuple[str, ...]) -> None:
    """After a change of a text run: make models."""
    found = {path.stem: path.read_bytes() for path in shipped_files("corpora")}
    read = hashlib.sha256(b"".join(found[text] for text in texts) + b"\xff").hexdigest()  # `digest_of` ends a text like this
    provenance = read_metadata(shipped_models()[name])["provenance"]
    assert (provenance["corpus"], provenance["sha256"]) == (name.removeprefix("shipped/"), read)


@pytest.mark.parametrize("name", shipped_models())
def test_they_write(name: str, invoke: Invoke, in_folder: Path) -> None:
    result = invoke("sample", "--run", name, "--length", "30", "--random-seed", "1")
    assert result.exit_code == 0, result.stderr
    assert result.stdout.strip()


def test_a_run_of_that_name_comes_first(in_folder: Path) -> None:
    own = in_folder / "shipped" / "names"
    own.parent.mkdir()
    own.write_bytes(shipped_models()["shipped/book"].read_bytes())
    assert find_model("shipped/names", in_folder / "runs") == Path("shipped/names")
    assert load_model(find_model("shipped/book", in_folder / "runs")).reading == "document"


def test_they_are_told_of_where_there_is_no_run(invoke: Invoke, in_folder: Path) -> None:
    result = invoke("sample")
    assert (result.exit_code, result.stdout) == (2, "")
    command = result.stderr.strip().rpartition("chargen ")[2].split()
    assert invoke(*command).exit_code == 0
    assert "shipped/names" in invoke("sample", "--run", "shipped/nmaes").stderr


def test_other_commands_take_them(invoke: Invoke, in_folder: Path) -> None:
    assert names_run("shipped/names", in_folder / "runs")
    (in_folder / "new.txt").write_text("Harold\nIda\n", encoding="utf-8")
    for arguments in (("evaluate", "shipped/names", "new.txt", "--no-baselines"), ("surprise", "shipped/names", "new.txt")):
        result = invoke(*arguments)
        assert result.exit_code == 0, result.stderr
    refused = invoke("novelty", "shipped/names")
    assert refused.exit_code == 2
    assert len(refused.stderr.splitlines()) == 1


def test_a_shell_offers_them(in_folder: Path) -> None:
    context = click.Context(sample)
    offered = [one.value for one in complete_runs(context, sample.params[0], "ship")]
    assert offered == sorted(shipped_models())

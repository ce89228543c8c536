"""The settings that are chosen are held to the table of benchmarks/grid.py."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import grid
from benchmarks.table import markdown
from chargen.corpus.corpus import Corpus
from chargen.corpus.documents import Document, Documents
from chargen.settings.layers import resolve
from chargen.training.planning.machine import OPERATIONS_PER_WEIGHT, Machine
from chargen.training.planning.recipes import Chosen, choose_members, choose_recipe

OVERHEAD = 9.0  # seconds of a case in which it took no steps, about
FASTER = 1.1  # than a whole training is what is measured before it, about

MEASURED = json.loads(Path(grid.__file__).with_name("results.json").read_text(encoding="utf-8")).get("grid", {"rows": []})[
    "rows"
]


def rows_of(case: grid.Case) -> list[dict[str, Any]]:
    return [row for row in MEASURED if row["case"] == case._asdict()]


def best_of(rows: list[dict[str, Any]]) -> float:
    return min(row["median"] for row in rows)


@pytest.mark.parametrize("case", grid.CASES, ids=lambda case: case.what)
def test_what_was_chosen_is_about_as_good_as_the_best_fixed_settings(case: grid.Case) -> None:
    rows = rows_of(case)
    assert [row["setting"] for row in rows] == [grid.CHOSEN, *grid.FIXED]
    assert rows[0]["median"] <= best_of(rows) + grid.WORST


@pytest.mark.parametrize("case", grid.CASES, ids=lambda case: case.what)
def test_what_is_chosen_today_is_about_as_good_as_the_best_fixed_settings(case: grid.Case) -> None:
    """For the speed that was measured, the network and the number of networks are those of a good row of the table."""
    rows = rows_of(case)
    try:
        text = grid.TEXTS[case.kind]()[: case.characters]
    except FileNotFoundError:
        pytest.skip(f"the text of {case.kind} is not here: ../shared/data is missing")
    texts, reading = (text.split("\n"), "line") if case.kind == "names" else ([text], "document")
    corpus = Corpus(case.kind, Documents.of(map(Document, texts)), reading, "0" * 64)
    sections = {"corpus": {"validation_split": 0.0}}  # of the table
    chosen = Chosen.of(resolve(("command line", sections)))
    row = rows[0]
    seconds = case.minutes * 60 / row["members"] - OVERHEAD
    speed = FASTER * OPERATIONS_PER_WEIGHT * row["weights"] * row["positions"] / seconds
    machine = Machine("1 core", speed, overhead=OVERHEAD)
    members = choose_members(corpus, chosen, minutes=case.minutes, machine=machine)
    network = choose_recipe(corpus, chosen, minutes=case.minutes / members, machine=machine).layer["network"]
    alike = [one for one in rows if (one["size"], one["members"]) == (f"1x{network['hidden_size']}", members)]
    assert alike, f"no row has {members} networks of {network['hidden_size']} units"
    assert best_of(alike) <= best_of(rows) + grid.WORST


def test_the_table_shows_the_best_of_the_others() -> None:
    def row(setting: str, nats: float) -> dict[str, Any]:
        figures = {"what": f"prose, 100 characters, 1 minute: {setting}", "setting": setting, "median": nats}
        return figures | {"size": "1x64", "members": 1 + (setting != grid.CHOSEN), "dropout": 0.1, "weight_drop": 0.2}

    rows = [row(grid.CHOSEN, 1.5), row("128 units", 1.4), row("no dropout", 1.6)]
    shown = markdown({"grid": {"machine": "a machine", "rows": rows}})
    chosen, best = "1x64, dropout 0.1 and 0.2", "128 units (2 x 1x64, dropout 0.1 and 0.2)"
    assert f"| prose, 100 characters, 1 minute | {chosen} | 1.500 | {best} | 1.400 |" in shown

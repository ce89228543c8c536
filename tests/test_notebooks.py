"""The notebooks run from the first cell to the last, and their stored outputs are those of the code that they show."""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from docs.notebook_pages import notebook_pages
from tests.notebooks import ENVIRONMENT, NOTEBOOKS, REPOSITORY, code_cells, fingerprint, read_notebook, source, stored_kinds

each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
LARGEST = 64 * 1024  # bytes of a file


def test_the_first_cell_on_a_gpu_works(tmp_path: Path) -> None:
    """Without a GPU, in NumPy; what it installs exists."""
    page = (REPOSITORY / "docs" / "notebooks" / "index.md").read_text(encoding="utf-8")
    extras = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    assert set(re.findall(r"chargen\[(\w+)\]", page)) <= extras.keys()
    install, cell = re.findall(r"```text\n(%pip install [^\n]+)\n(.*?)```", page, re.DOTALL)[0]
    assert install == "%pip install 'chargen[torch]'"
    small = cell.replace('backend="torch", minutes=5', 'backend="numpy", minutes=0.02, hidden_size=4')
    assert small != cell
    done = subprocess.run([sys.executable, "-c", small], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "training on CPU" in done.stderr


def test_there_are_notebooks() -> None:
    assert [path.stem for path in NOTEBOOKS] == ["first-steps", "inside", "keras"]


@each_notebook
def test_each_cell_runs_and_shows_what_is_stored(path: Path, tmp_path: Path) -> None:
    environment = os.environ | ENVIRONMENT | {"PYTHONPATH": str(REPOSITORY), "MPLBACKEND": "Agg"}
    command = [sys.executable, "-m", "tests.notebooks", "run", str(path)]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == [stored_kinds(cell) for cell in code_cells(read_notebook(path))]


@each_notebook
def test_the_outputs_are_those_of_the_code(path: Path) -> None:
    """After a change of the code, `make notebooks` executes it."""
    notebook = read_notebook(path)
    cells = code_cells(notebook)
    assert notebook["metadata"]["chargen"] == {"executed": fingerprint(notebook)}
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    assert not [output for cell in cells for output in cell["outputs"] if output["output_type"] == "error"]


def test_the_fingerprint_is_that_of_the_code() -> None:
    notebook = read_notebook(NOTEBOOKS[0])
    before = fingerprint(notebook)
    code_cells(notebook)[-1]["outputs"] = []
    assert fingerprint(notebook) == before
    code_cells(notebook)[-1]["source"] += "\n"
    assert fingerprint(notebook) != before


@each_notebook
def test_a_notebook_is_small_and_names_no_folder(path: Path) -> None:
    assert path.stat().st_size <= LARGEST
    assert not [
        folder for folder in ("/tmp/", "/home/", "/root/", str(REPOSITORY)) if folder in path.read_text(encoding="utf-8")
    ]


@each_notebook
def test_a_page_shows_code_and_outputs(path: Path) -> None:
    notebook, page = read_notebook(path), notebook_pages()[f"notebooks/{path.stem}.md"]
    assert page.startswith("# ")
    assert f"]({path.name})" in page
    assert [cell for cell in code_cells(notebook) if source(cell) not in page] == []
    kinds = [kind for cell in code_cells(notebook) for kind in stored_kinds(cell)]
    assert page.count("data:image/png;base64,") == kinds.count("image/png")
    assert page.count('<div class="notebook-output">') == kinds.count("text/html")

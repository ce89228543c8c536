"""Run the notebooks of the manual.

python -m tests.notebooks             execute each with a Jupyter kernel, and store its outputs (`make notebooks`)
python -m tests.notebooks run FILE    run its code cells without Jupyter, and print what each of them shows
"""

import ast
import contextlib
import hashlib
import io
import json
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parent.parent
NOTEBOOKS = sorted(REPOSITORY.glob("docs/notebooks/*.ipynb"))
ENVIRONMENT = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "", "COLUMNS": "100"}


def read_notebook(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))


def code_cells(notebook: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def source(cell: Mapping[str, Any]) -> str:
    return "".join(cell["source"])


def fingerprint(notebook: Mapping[str, Any]) -> str:
    """Return a digest of the code, which is stored with the outputs of its execution."""
    code = json.dumps([source(cell) for cell in code_cells(notebook)])
    return hashlib.sha256(code.encode()).hexdigest()[:16]


def stored_kinds(cell: Mapping[str, Any]) -> list[str]:
    """Return what the stored outputs of a cell are; progress, which goes to stderr outside of Jupyter, is left out."""
    kinds = set()
    for output in cell["outputs"]:
        data = output.get("data", {})
        if output.get("name") == "stdout":
            kinds.add("stdout")
        elif output["output_type"] == "execute_result":
            kinds.add("text/html" if "text/html" in data else "text/plain")
        elif "image/png" in data:
            kinds.add("image/png")
    return sorted(kinds)


def run_cells(codes: Sequence[str]) -> list[list[str]]:
    """Run code cells in order with shared names, as a kernel does; return what each of them shows."""
    names: dict[str, Any] = {"__name__": "__main__"}
    return [_run_cell(code, names) for code in codes]


def _run_cell(code: str, names: dict[str, Any]) -> list[str]:
    body = ast.parse(code).body
    last = ast.Expression(body.pop().value) if body and isinstance(body[-1], ast.Expr) else None
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(compile(ast.Module(body, []), "cell", "exec"), names)
        value = eval(compile(last, "cell", "eval"), names) if last else None
    kinds = {"stdout"} if printed.getvalue() else set()
    if value is not None:
        kinds.add("text/html" if hasattr(value, "_repr_html_") else "text/plain")
    return sorted(kinds | _figures())


def _figures() -> set[str]:
    """Close the figures of a cell, which a kernel shows at the cell's end."""
    pyplot = sys.modules.get("matplotlib.pyplot")
    if pyplot is None or not pyplot.get_fignums():
        return set()
    pyplot.close("all")
    return {"image/png"}


def execute(path: Path) -> None:
    """Execute a notebook in an empty folder and store its outputs."""
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        place = {"metadata": {"path": folder}}
        NotebookClient(notebook, timeout=300, coalesce_streams=True, resources=place).execute()
    for cell in code_cells(notebook):
        cell["metadata"].pop("execution", None)  # times of day
        cell["outputs"] = [output for output in cell["outputs"] if output.get("name") != "stderr"]
    notebook["metadata"]["chargen"] = {"executed": fingerprint(notebook)}
    nbformat.write(notebook, path)


def main(arguments: Sequence[str]) -> None:
    os.environ.update(ENVIRONMENT)
    if arguments[:1] == ["run"]:
        codes = [source(cell) for cell in code_cells(read_notebook(Path(arguments[1])))]
        print(json.dumps(run_cells(codes)))
        return
    for path in NOTEBOOKS:
        print(path.relative_to(REPOSITORY), file=sys.stderr)
        execute(path)


if __name__ == "__main__":
    main(sys.argv[1:])

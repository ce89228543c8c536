"""What a step of the GPU check tells the check: rows, each a JSON object on a line of stdout, as soon as it is known."""

import json
from typing import Any

WITHOUT_GPU = {"CUDA_VISIBLE_DEVICES": "", "JAX_PLATFORMS": "cpu"}  # environment of processes that are to compute on a CPU


def tell(**row: Any) -> None:
    """Print a row."""
    print(json.dumps(row), flush=True)


def last_line(text: str) -> str:
    """Return the last line that says something, which is where a traceback names its error."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:300] if lines else "no message"

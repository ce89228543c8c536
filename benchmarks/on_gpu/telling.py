"""Print the results of a step of the GPU check: rows, each a JSON object on a line of stdout, as soon as they are known."""

import json
from typing import Any

WITHOUT_GPU = {"CUDA_VISIBLE_DEVICES": "", "JAX_PLATFORMS": "cpu"}  # environment of processes that compute on a CPU


def tell(**row: Any) -> None:
    """Print a row."""
    print(json.dumps(row), flush=True)


def last_line(text: str) -> str:
    """Return the last line that is not blank: the error message of a traceback."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:300] if lines else "no message"

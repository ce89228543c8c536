"""`python -m tests.pretended_gpu_step SECONDS HOW` is a step of the GPU check that ends in the given way."""

import json
import os
import signal
import subprocess
import sys
import time
from typing import Any


def reported(kind: str, *rows: dict[str, Any], outcome: str = "done", why: str = "") -> dict[str, Any]:
    """Return the report of the check about a step."""
    return {"step": kind, "kind": kind, "outcome": outcome, "why": why, "seconds": 1.0, "rows": list(rows)}


def main(how: str) -> None:
    """Print a row, print an invalid row, and end."""
    print(json.dumps({"note": "half of it"}))
    print("a library says hello")
    print("[1, 2]")
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    print(json.dumps({"child": child.pid, "own": os.getpid()}), flush=True)
    if how == "raises":
        raise RuntimeError("CUDNN_STATUS_EXECUTION_FAILED")
    if how == "dies":
        os.kill(os.getpid(), signal.SIGSEGV)
    if how == "hangs":
        time.sleep(600)


if __name__ == "__main__":
    main(sys.argv[2])

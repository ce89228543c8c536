import json
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any
from urllib.request import Request, urlopen

from benchmarks.models import random_model
from chargen.network.model_file import save_model

CLIENTS, CHARACTERS, ROUNDS = 100, 2000, 3


def measure() -> list[dict[str, Any]]:
    """Measure the time and the memory of a server with a hundred clients at once; memory from /proc after each round."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.safetensors")
        save_model(path, random_model(num_layers=1, hidden_size=128))
        command = [sys.executable, "-m", "chargen", "serve", str(path), "--port", "0", "-q"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout is not None
            url = server.stdout.readline().strip()
            before, seconds, megabytes = _megabytes(server.pid), [], []
            for _ in range(ROUNDS):
                began = time.perf_counter()
                with ThreadPoolExecutor(CLIENTS) as clients:
                    list(clients.map(lambda seed: _complete(url, seed), range(CLIENTS)))
                seconds.append(time.perf_counter() - began)
                megabytes.append(_megabytes(server.pid) - before)
            server.terminate()
    what = f"chargen serve, {CLIENTS} clients at once, {CHARACTERS:,} characters each"
    return [_row(what, "s", seconds), _row(f"{what}: memory more than with none", "MB", megabytes)]


def _complete(url: str, seed: int) -> None:
    """Request texts one after another until they are long enough together."""
    body = json.dumps({"length": CHARACTERS, "random_seed": seed, "stream": True, "again": True}).encode()
    with urlopen(Request(f"{url}api/complete", body), timeout=120) as answer:
        events = [json.loads(line[6:]) for line in answer if line.startswith(b"data: ")]
    assert events[-1]["stopped"] == "length", events[-1]


def _megabytes(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


def _row(what: str, unit: str, values: list[float]) -> dict[str, Any]:
    return {"what": what, "unit": unit, "median": median(values), "min": min(values), "max": max(values)}

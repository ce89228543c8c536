"""Print the available hardware: `python -m benchmarks.on_gpu.machine SECONDS BACKEND...`.

Rows with `what` and `value` describe the machine; a row for each backend names its GPU.
"""

import json
import os
import platform
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import distributions
from typing import Any

from benchmarks.on_gpu.telling import last_line, tell

QUERY = "name,memory.total,driver_version"
PACKAGES = ("numpy", "keras", "jax", "jaxlib", "torch", "tensorflow", "chargen")
LIBRARIES = ("nvidia-cudnn", "nvidia-cublas", "jax-cuda")  # and which CUDA they are for


def main(seconds: float, *backends: str) -> None:
    """Query nvidia-smi, the installed packages, and each backend in its own process."""
    for what, value in (*_card(), *_software()):
        tell(what=what, value=value)
    with ThreadPoolExecutor() as threads:
        for row in threads.map(lambda backend: _ask(backend, seconds), backends):
            tell(**row)


def _card() -> list[tuple[str, str]]:
    command = ["nvidia-smi", f"--query-gpu={QUERY}", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        return [("card", f"none that nvidia-smi shows ({type(error).__name__})")]
    return [("card", f"{name}, {memory}, driver {driver}") for name, memory, driver in _fields(done.stdout)]


def _fields(table: str) -> list[list[str]]:
    return [[field.strip() for field in line.split(",")] for line in table.strip().splitlines()]


def _software() -> list[tuple[str, str]]:
    installed = {str(one.metadata["Name"]).lower().replace("_", "-"): one.version for one in distributions()}
    libraries = [name for name in sorted(installed) if name.startswith(LIBRARIES)]
    packages = [f"{name} {installed[name]}" for name in (*PACKAGES, *libraries) if name in installed]
    cores = f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()} {platform.release()}"
    return [("computer", cores), ("Python", platform.python_version()), ("packages", ", ".join(packages))]


def _ask(backend: str, seconds: float) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.on_gpu.backends", backend]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=0.9 * seconds, check=False)
    except subprocess.TimeoutExpired:
        return {"backend": backend, "failed": "it did not load in time"}
    if done.returncode:
        return {"backend": backend, "failed": last_line(done.stderr)}
    return {"backend": backend} | json.loads(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    main(float(sys.argv[1]), *sys.argv[2:])

"""Find out what chargen can use on this machine, without loading a backend."""

import platform
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Any

from chargen.cores import num_cores
from chargen.files import cache_folder
from chargen.native.building import compiler
from chargen.native.library import CHOICES, PREBUILT, NoKernelsError, Products, bfloat16_speed, load_kernels, processor_flags
from chargen.version import __version__

# chargen's own metadata: a package, and behind the semicolon the extra that it belongs to
_REQUIREMENT = re.compile(r"""([\w.-]+)[^;]*(?:;.*extra == ["'](\w+)["'])?""")
FOR_DEVELOPERS = {"bench", "dev", "docs", "mutation", "gpu"}  # extras; the last is TensorFlow with CUDA
LONGEST_WAIT_SECONDS = 10


def examine(runs_dir: Path) -> dict[str, Any]:
    """Return versions, devices, kernels, folders, and what to install; kernels that are not built yet are built."""
    facts = {
        "chargen": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}, {platform.machine()}",
        "cores": num_cores(),
        "processor": _processor(),
        "gpus": _gpus(),
        "packages": {name: found for name in sorted(_needed()) if (found := _installed(name))},
        "kernels": {products: _kernels(products) for products in CHOICES},
        "compiler": compiler(),
        "cache": {"folder": str(cache_folder("")), "bytes": _size(cache_folder(""))},
        "free_disk_bytes": shutil.disk_usage(_existing(runs_dir)).free,
        "free_memory_bytes": _free_memory(),
    }
    return facts | {"advice": list(_advice(facts))}


def _processor() -> str:
    """Return the processor's name and those of its instructions that matter here."""
    name = platform.processor() or platform.machine()
    with suppress(OSError):
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
        found = re.search(r"model name\s*:\s*(.+)", text)
        name = found[1].strip() if found else name
    known = {one.name: one for choices in CHOICES.values() for one in choices}
    instructions = [name for name, one in known.items() if one.needs <= processor_flags()]
    return f"{name}; {', '.join(instructions) or 'neither AVX2 nor AVX-512'}"


def _gpus() -> list[str]:
    """Return the names of NVIDIA's GPUs."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    command = [program, "--query-gpu=name", "--format=csv,noheader"]
    with suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(command, capture_output=True, text=True, timeout=LONGEST_WAIT_SECONDS, check=True)
        return done.stdout.split("\n")[:-1]
    return []


def _requirements() -> Iterator[tuple[str, str | None]]:
    """Yield each package that chargen can use and the extra that it belongs to, None for those it always needs."""
    with suppress(PackageNotFoundError):
        for line in requires("chargen") or ():
            if found := _REQUIREMENT.match(line):
                yield found[1], found[2]


def _needed() -> set[str]:
    return {name for name, extra in _requirements() if extra not in FOR_DEVELOPERS}


def _installed(name: str) -> str | None:
    with suppress(PackageNotFoundError):
        return version(name)
    return None


def _kernels(products: Products) -> str:
    """Return the instructions of the kernels and where they come from, or why there are none."""
    try:
        kernels = load_kernels(products)
    except NoKernelsError as why:
        return f"none: {why}"
    speed = bfloat16_speed() if products == "bfloat16" else None
    compared = f", {speed:.1f} times as fast as float32" if speed else ""
    return f"{kernels.instructions}, {'prebuilt' if kernels.prebuilt else 'compiled on this machine'}{compared}"


def _existing(path: Path) -> Path:
    """Return the nearest folder that exists."""
    path = path.resolve()
    return next(one for one in (path, *path.parents) if one.is_dir())


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _free_memory() -> int | None:
    with suppress(OSError, StopIteration):
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return 1024 * int(next(line for line in lines if line.startswith("MemAvailable:")).split()[1])
    return None


def _advice(facts: dict[str, Any]) -> Iterator[str]:
    """Yield what to install, and what for."""
    if facts["compiler"] is None and not PREBUILT.is_dir() and facts["system"].startswith("Linux"):
        yield "install a C compiler (package gcc or clang): recurrent layers then run as C code, faster"
    if facts["gpus"]:
        yield "pip install 'chargen[gpu]' if TensorFlow does not find the GPU"
    missing: dict[str, list[str]] = {}
    for name, extra in _requirements():
        if extra not in FOR_DEVELOPERS and _installed(name) is None:
            missing.setdefault(extra or "", []).append(name)
    for extra, names in missing.items():
        what = f"'chargen[{extra}]'" if extra else " ".join(names)
        yield f"pip install {what} for {', '.join(names)}" if extra else f"pip install {what}: chargen needs it"

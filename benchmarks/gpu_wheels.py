"""Download what a machine without a network needs in addition to JAX or PyTorch: `python -m benchmarks.gpu_wheels FOLDER`.

The folder gets wheels for CPython 3.12 on Linux (x86-64) of chargen's dependencies and of theirs, without TensorFlow and wandb,
and tinyshakespeare.txt if available. `python -m benchmarks.gpu_check --wheels FOLDER` installs them.
"""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

from benchmarks.engines import TEXT

ROOT = Path(__file__).parents[1]
LEFT_OUT = {"tensorflow", "wandb"}  # chargen trains on JAX and PyTorch without them
PYTHON_VERSION = "3.12"
NEWEST_GLIBC = 28  # glibc 2.28: pip considers only the platforms listed


def main(folder: Path) -> None:
    """Download the wheels, copy the text, and print their number and size."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.whl"):  # one version of each package
        old.unlink()
    subprocess.run(download_command(folder), check=True)
    if TEXT.is_file():
        shutil.copyfile(TEXT, folder / TEXT.name)
    size = sum(path.stat().st_size for path in folder.iterdir())
    print(f"{folder}: {len(list(folder.iterdir()))} files, {size / 1e6:.1f} MB")


def download_command(folder: Path) -> list[str]:
    """Return the command of pip that downloads every wheel, in the versions of constraints.txt."""
    platforms = [f"manylinux_2_{minor}_x86_64" for minor in range(5, NEWEST_GLIBC + 1)]
    platforms += ["manylinux1_x86_64", "manylinux2010_x86_64", "manylinux2014_x86_64"]
    target = ["--only-binary=:all:", "--implementation", "cp", "--python-version", PYTHON_VERSION]
    target += [part for platform in platforms for part in ("--platform", platform)]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--dest", str(folder)]
    return [*command, "--constraint", str(ROOT / "constraints.txt"), *target, *requirements()]


def requirements() -> list[str]:
    """Return chargen's dependencies as in pyproject.toml, without those in LEFT_OUT."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return [one for one in project["dependencies"] if re.split(r"[^\w.-]", one)[0] not in LEFT_OUT]


if __name__ == "__main__":
    main(Path(sys.argv[1]))

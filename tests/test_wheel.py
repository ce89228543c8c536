"""The wheel works outside the repository, with the installed dependencies."""

import json
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from chargen.native.building import compiler

REPOSITORY = Path(__file__).parent.parent


OFFLINE = ("--quiet", "--no-deps", "--no-index", "--disable-pip-version-check")


def run(*command: object, folder: Path, **variables: str) -> str:
    surroundings = os.environ | variables
    done = subprocess.run(
        [str(one) for one in command], cwd=folder, capture_output=True, text=True, check=False, env=surroundings
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def not_of_the_source(folder: str, names: list[str]) -> set[str]:
    """Return the files that are not part of the sources: build results at the top of a checkout, and caches."""
    made = {".venv", ".git", "runs", "build", "dist", "gpu-wheels"} if Path(folder) == REPOSITORY else set()
    return made | {name for name in names if name in ("__pycache__", ".hypothesis") or name.endswith("_cache")}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the sources."""
    folder = tmp_path_factory.mktemp("source") / "chargen"
    shutil.copytree(REPOSITORY, folder, ignore=not_of_the_source)
    return folder


def wheel_of(source: Path, folder: Path, **variables: str) -> Path:
    run(
        sys.executable, "-m", "pip", "wheel", *OFFLINE, "--no-build-isolation", "-w", folder, source, folder=folder, **variables
    )
    (wheel,) = folder.glob("chargen-*.whl")
    return wheel


@pytest.fixture(scope="module")
def environment(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a new environment with the wheel. A path file adds the dependencies; their own path files are not read."""
    folder = tmp_path_factory.mktemp("wheel")
    wheel = wheel_of(source, folder)
    run(sys.executable, "-m", "venv", "--without-pip", folder / "venv", folder=folder)
    python = folder / "venv" / "bin" / "python"
    site = run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", folder=folder).strip()
    run(sys.executable, "-m", "pip", "--python", python, "install", *OFFLINE, wheel, folder=folder)
    Path(site, "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    return folder / "venv" / "bin"


def test_it_is_the_wheel_that_runs(environment: Path, tmp_path: Path) -> None:
    where = run(environment / "python", "-c", "import chargen; print(chargen.__file__)", folder=tmp_path)
    assert Path(where.strip()).is_relative_to(environment.parent)
    assert Path(where.strip()).with_name("py.typed").is_file()
    assert "chargen" in run(environment / "chargen", "--version", folder=tmp_path)


def test_it_carries_the_corpora_and_configs(environment: Path, tmp_path: Path) -> None:
    script = "from chargen.shipped import shipped_files as f; print(*(p.name for k in ('corpora', 'configs') for p in f(k)))"
    carried = set(run(environment / "python", "-c", script, folder=tmp_path).split())
    shipped = [*REPOSITORY.glob("corpora/*.txt"), *REPOSITORY.glob("configs/*.toml")]
    assert carried == {path.name for path in shipped} - {"code.txt"}


def test_it_exports_what_it_trained(environment: Path, tmp_path: Path) -> None:
    small = ("--hidden-size", 4, "--epochs", 1, "--sample-every", 0, "-q", "--backend", "numpy")
    run(environment / "chargen", "train", "tiny.txt", *small, folder=tmp_path)
    for name in ("tiny.html", "tiny.py"):
        run(environment / "chargen", "export", "--output", name, folder=tmp_path)
    assert run(environment / "python", "tiny.py", "--length", 9, folder=tmp_path)


def test_it_trains_and_samples(environment: Path, tmp_path: Path) -> None:
    small = ("--hidden-size", 4, "--epochs", 1, "--sample-every", 0, "-q")
    trained = run(environment / "chargen", "train", "--config", "demo", *small, folder=tmp_path)
    assert (tmp_path / trained.strip() / "model.safetensors").is_file()
    assert len(run(environment / "chargen", "sample", folder=tmp_path).splitlines()) == 10
    run(environment / "chargen", "surprise", "male.txt", "--html", "page.html", folder=tmp_path)
    assert "<style>" in (tmp_path / "page.html").read_text(encoding="utf-8")


@pytest.mark.skipif(compiler() is None or sys.platform != "linux" or platform.machine() != "x86_64", reason="no kernels here")
def test_its_kernels_need_no_compiler(environment: Path, tmp_path: Path) -> None:
    without = {"CC": "no-such-compiler", "CHARGEN_CACHE": str(tmp_path / "cache")}
    facts = json.loads(run(environment / "chargen", "doctor", "--json", folder=tmp_path, **without))
    assert facts["compiler"] is None
    assert facts["kernels"]["float32"].endswith(", prebuilt") or "the processor has no AVX2" in facts["kernels"]["float32"]
    assert not any("C compiler" in line for line in facts["advice"])


def test_without_a_compiler_it_is_for_every_system(source: Path, tmp_path: Path) -> None:
    wheel = wheel_of(source, tmp_path, CC="no-such-compiler")
    assert wheel.name.endswith("-py3-none-any.whl")
    with zipfile.ZipFile(wheel) as archive:
        assert not any("prebuilt" in name for name in archive.namelist())
        assert "Root-Is-Purelib: true" in archive.read(next(n for n in archive.namelist() if n.endswith("/WHEEL"))).decode()

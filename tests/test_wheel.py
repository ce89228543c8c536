"""The wheel works outside the repository, with the installed dependencies."""

import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parent.parent


def run(*command: object, folder: Path) -> str:
    done = subprocess.run([str(one) for one in command], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def not_of_the_source(folder: str, names: list[str]) -> set[str]:
    """Return the files that are not part of the sources: build results at the top of a checkout, and caches."""
    made = {".venv", ".git", "runs", "build", "dist", "gpu-wheels"} if Path(folder) == REPOSITORY else set()
    return made | {name for name in names if name in ("__pycache__", ".hypothesis") or name.endswith("_cache")}


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a new environment with the wheel. A path file adds the dependencies; their own path files are not read."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    shutil.copytree(REPOSITORY, source, ignore=not_of_the_source)
    offline = ("--quiet", "--no-deps", "--no-index", "--disable-pip-version-check")
    run(sys.executable, "-m", "pip", "wheel", *offline, "--no-build-isolation", "-w", folder, source, folder=folder)
    (wheel,) = folder.glob("chargen-*.whl")
    run(sys.executable, "-m", "venv", "--without-pip", folder / "venv", folder=folder)
    python = folder / "venv" / "bin" / "python"
    site = run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", folder=folder).strip()
    run(sys.executable, "-m", "pip", "--python", python, "install", *offline, wheel, folder=folder)
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

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from chargen.cli.program import program
from chargen.runs.directory import RunDirectory

NAMES = [
    "Ada",
    "Alan",
    "Alonzo",
    "Barbara",
    "Claude",
    "Donald",
    "Edsger",
    "Frances",
    "Grace",
    "Ivan",
    "John",
    "Karen",
    "Linus",
    "Margaret",
    "Niklaus",
    "Peter",
    "Radia",
    "Tony",
]
SMALL = ("--config", "plain", "--hidden-size", "7", "--embedding", "5", "--sample-length", "20")


@pytest.fixture
def prose(tmp_path: Path) -> Path:
    """A text of one document, easy to learn."""
    path = tmp_path / "prose.txt"
    path.write_text("the cat sat on the mat.\nthe dog sat on the log.\n" * 25, encoding="utf-8")
    return path


@pytest.fixture
def names(tmp_path: Path) -> Path:
    """A list of names."""
    path = tmp_path / "names.txt"
    path.write_text("".join(f"{name}\n" for name in NAMES * 3), encoding="utf-8")
    return path


@dataclass(frozen=True)
class Trained:
    """What `chargen train` left behind."""

    run: RunDirectory
    stderr: str

    @property
    def validation(self) -> list[float]:
        """Validation loss of each epoch, as the display printed it."""
        return [float(one) for one in re.findall(r"validation ([\d.]+)", self.stderr)]


@pytest.fixture
def small() -> tuple[str, ...]:
    """Options of `chargen train` that make a network small enough for a test."""
    return SMALL


@pytest.fixture
def invoke_train(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Run `chargen train` with small sizes in this process."""
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: CliRunner().invoke(program, ["train", *SMALL, *map(str, arguments)])


@pytest.fixture
def train(invoke_train: Callable[..., Result]) -> Callable[..., Trained]:
    """Train with success and return the run."""

    def run(*arguments: object) -> Trained:
        result = invoke_train(*arguments)
        assert result.exit_code == 0, result.output
        return Trained(RunDirectory(Path(result.stdout.strip())), result.stderr)

    return run

"""Every command that the README shows is run, on small texts that go by the same names."""

import os
import re
import signal
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from urllib.request import urlopen

import pytest

REPOSITORY = Path(__file__).parent.parent
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
SMALL = "--epochs 1 --hidden-size 4 --batch-size 4 --sample-every 0"

ENVIRONMENT = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}

NAMES = "Harold\nHarvey\nHenry\nIda\nIsaac\nJune\nKarl\nLaura\n" * 12
REVIEWS = "review,sentiment\nA fine film.,good\nA dull film.,bad\n" * 12
CHAT = "[31.12.21, 23:59:01] Ada: Are you there?\n[31.12.21, 23:59:40] Tom: Of course I am.\n" * 12
PROSE = "It was late, and Harvey had not slept. \u201cWho is it?\u201d he said.\n" * 20


def commands() -> list[str]:
    """Return the commands of the console blocks and of the tables, without comments."""
    blocks = re.findall(r"```console\n(.*?)```", README, re.DOTALL)
    shown = [line[2:] for block in blocks for line in block.splitlines() if line.startswith("$ ")]
    tables = re.findall(r"^\|.*`(chargen [^`]+)` \|$", README, re.MULTILINE)
    return [re.sub(r"\s+#.*", "", command) for command in shown + tables]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("readme")
    for name in ("book.txt", "nietzsche.txt", "input.txt", "lyrics.txt", "tiny.txt", "part1.txt", "part2.txt"):
        (folder / name).write_text(PROSE, encoding="utf-8")
    for name in ("male.txt", "female.txt"):
        (folder / name).write_text(NAMES, encoding="utf-8")
    for name, between in (("poems.txt", "\n\n"), ("fortunes.txt", "\n%\n")):
        (folder / name).write_text(PROSE.replace("\n", between), encoding="utf-8")
    (folder / "reviews.csv").write_text(REVIEWS, encoding="utf-8")
    (folder / "_chat.txt").write_text(CHAT, encoding="utf-8")
    (folder / "articles").mkdir()
    for name in ("one.txt", "two.txt", "one.md", "two.md"):
        (folder / "articles" / name).write_text(PROSE, encoding="utf-8")
    return folder


@pytest.mark.parametrize("command", [one for one in commands() if not one.startswith("make")])
def test_a_command_works(command: str, folder: Path) -> None:
    """The commands share a folder and run in the README's order, so that samples find the runs before them."""
    backend = re.search(r"--backend (jax|torch)", command)
    if backend and find_spec(backend[1]) is None:
        pytest.skip(f"{backend[1]} is not installed: make test-backends installs it")
    if command.startswith("chargen tune"):
        command = re.sub(r"--minutes \d+", "--minutes 0.05", re.sub(r"--epochs \d+", "--epochs 1", command))
        command = f"{re.sub(r' --trials [0-9]+', '', command)} --trials 2 --backend numpy --hidden-size 4 --sample-every 0"
    elif "--minutes" in command:
        command = re.sub(r"--minutes \d+", f"--minutes 0.05 {SMALL.removeprefix('--epochs 1')}", command)
    elif "chargen train" in command:
        command = f"{command} {SMALL}"
    if "--distribute" in command:  # among devices that share so small a batch
        command = f"XLA_FLAGS=--xla_force_host_platform_device_count=2 {command}"
    if command.startswith("chargen serve"):
        assert_serves(f"exec {command} --port 0", folder)
        return
    done = subprocess.run(["bash", "-ec", command], cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "is off for the rest" not in done.stderr


def assert_serves(command: str, folder: Path) -> None:
    """A server runs until Ctrl-C: it has to send its page until then."""
    pytest.importorskip("uvicorn", reason="uvicorn is not installed: pip install 'chargen[serve]'")
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen(["bash", "-ec", command], cwd=folder, env=ENVIRONMENT, text=True, **pipes)
    assert process.stdout is not None
    address = process.stdout.readline().strip()
    if address:
        with urlopen(address, timeout=60) as page:
            assert b"<title>chargen</title>" in page.read()
        process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr


def test_the_python_example_works(folder: Path) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    small = re.sub(r"hidden_size=\d+, epochs=\d+", "hidden_size=4, epochs=1, batch_size=4, sample_every=0", code)
    assert small != code
    done = subprocess.run([sys.executable, "-c", small], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 7


@pytest.mark.parametrize("command", [one for one in commands() if one.startswith("make")])
def test_a_make_target_exists(command: str) -> None:
    subprocess.run([*command.split(), "--dry-run"], cwd=REPOSITORY, check=True, capture_output=True)


def test_every_shipped_config_and_corpus_is_told_of() -> None:
    for path in (*REPOSITORY.glob("configs/*.toml"), *REPOSITORY.glob("corpora/*.txt")):
        assert path.name in README or f"--config {path.stem}" in README or path.stem == "demo"


def test_the_tables_are_the_newest_results() -> None:
    """After a benchmark, `python -m benchmarks table` gives what has to stand there."""
    shown = subprocess.run(
        [sys.executable, "-m", "benchmarks", "table"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    for block in shown.stdout.strip().split("\n\n"):
        assert block in README

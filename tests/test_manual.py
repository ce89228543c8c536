"""README and the manual are correct: commands run, on small texts with the same names, and figures are up to date."""

import os
import re
import signal
import subprocess
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path
from urllib.request import urlopen

import pytest

from chargen.cli.program import COMMANDS
from chargen.runs.directory import RunDirectory
from chargen.settings.schema import declared_settings, flag_name
from chargen.shipped import shipped_models
from docs import hooks, notebook_pages

REPOSITORY = Path(__file__).parent.parent
NAVIGATION = re.findall(r"^ +- [^:]+: (\S+\.md)$", (REPOSITORY / "mkdocs.yml").read_text(encoding="utf-8"), re.MULTILINE)
GENERATED = (hooks.COMMANDS_PAGE, hooks.SETTINGS_PAGE, *notebook_pages.notebook_pages())
LIVE = [f"live/{path.stem}.html" for path in shipped_models().values()]
INCLUDED = {"contributing.md": "CONTRIBUTING.md", "changelog.md": "CHANGELOG.md"}
FILES = ["README.md", *(INCLUDED.get(page, f"docs/{page}") for page in NAVIGATION if page not in GENERATED)]
KERAS_PAGE = "docs/keras.md"
PAGES = {file: (REPOSITORY / file).read_text(encoding="utf-8") for file in FILES}
ALL = "\n".join(PAGES.values())

SMALL = "--epochs 1 --hidden-size 4 --batch-size 4 --sample-every 0"
# Trainings of other pages run in NumPy, which starts in a second, where it has what they need.
TRAINED_AS_WRITTEN = ("README.md", "docs/train.md", "docs/machines.md", KERAS_PAGE)
NOT_IN_NUMPY = re.compile(r"--backend|--task classify|--config (nietzsche|nietzsche-last|reviews)\b(?!-)")

ENVIRONMENT = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}

NAMES = "Harold\nHarvey\nHenry\nIda\nIsaac\nJune\nKarl\nLaura\n" * 12
REVIEWS = "review,sentiment\nA fine film.,good\nA dull film.,bad\n" * 12
CHAT = "[31.12.21, 23:59:01] Ada: Are you there?\n[31.12.21, 23:59:40] Tom: Of course I am.\n" * 12
PROSE = "It was late, and Harvey had not slept. \u201cWho is it?\u201d he said.\n" * 20


def commands(page: str) -> list[str]:
    """Return the commands of the console blocks and of the tables, without comments."""
    blocks = re.findall(r"```console\n(.*?)```", page, re.DOTALL)
    shown = [line[2:] for block in blocks for line in block.splitlines() if line.startswith("$ ")]
    tables = re.findall(r"^\|.*`(chargen [^`]+)` \|$", page, re.MULTILINE)
    return [re.sub(r"\s+#.*", "", command) for command in shown + tables]


def all_commands() -> dict[str, str]:
    """Return every command once, with the first page that has it, in the order of the pages."""
    found = {command: file for file, page in reversed(PAGES.items()) for command in commands(page)}
    return {command: found[command] for page in PAGES.values() for command in commands(page)}


def named(commands: dict[str, str]) -> list[object]:
    return [pytest.param(command, id=f"{file}-{command}") for command, file in commands.items()]


CHARGEN = {command: file for command, file in all_commands().items() if not command.startswith("make")}
MAKE = {command: file for command, file in all_commands().items() if command.startswith("make")}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("manual")
    for name in ("book.txt", "nietzsche.txt", "input.txt", "lyrics.txt", "tiny.txt", "part1.txt", "part2.txt"):
        (folder / name).write_text(PROSE, encoding="utf-8")
    for name in ("male.txt", "female.txt"):
        (folder / name).write_text(NAMES, encoding="utf-8")
    for name, between in (("poems.txt", "\n\n"), ("fortunes.txt", "\n%\n")):
        (folder / name).write_text(PROSE.replace("\n", between), encoding="utf-8")
    (folder / "reviews.csv").write_text(REVIEWS, encoding="utf-8")
    (folder / "unseen.csv").write_text("review,sentiment\nAn odd film.,good\n", encoding="utf-8")
    (folder / "_chat.txt").write_text(CHAT, encoding="utf-8")
    (folder / "articles").mkdir()
    for name in ("one.txt", "two.txt", "one.md", "two.md"):
        (folder / "articles" / name).write_text(PROSE, encoding="utf-8")
    first = f"chargen train male.txt --backend numpy -q {SMALL}"  # used when a page without a training is tested alone
    subprocess.run(first, cwd=folder, env=ENVIRONMENT, shell=True, check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def keras_program(folder: Path) -> subprocess.CompletedProcess[str]:
    """What became of the examples of a page that go on from each other, so that its commands find what they have saved."""
    code = re.sub(r"epochs=\d+", "epochs=1", "".join(python_examples(KERAS_PAGE)))
    small = re.sub(r"(LSTM\(|hidden_size=)128", r"\g<1>4", code).replace("quiet=True", 'quiet=True, backend="numpy"')
    return subprocess.run([sys.executable, "-c", small], cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("command", named(CHARGEN))
def test_a_command_works(command: str, folder: Path, request: pytest.FixtureRequest) -> None:
    """The commands share a folder and run in the order of the pages, so that samples find the earlier runs."""
    if CHARGEN[command] == KERAS_PAGE:
        request.getfixturevalue("keras_program")
    backend = re.search(r"--backend (jax|torch)", command)
    if backend and find_spec(backend[1]) is None:
        pytest.skip(f"{backend[1]} is not installed: make test-backends installs it")
    if command.startswith("chargen tune"):
        command = re.sub(r"--minutes \d+", "--minutes 0.05", re.sub(r"--epochs \d+", "--epochs 1", command))
        command = f"{re.sub(r' --trials [0-9]+', '', command)} --trials 2 --backend numpy --hidden-size 4 --sample-every 0"
    elif "--minutes" in command:
        command = re.sub(r"--minutes \d+", f"--minutes 0.05 {SMALL.removeprefix('--epochs 1')}", command)
    elif "--resume --epochs" in command:
        command = f"{re.sub(r'--epochs [0-9]+', '--epochs 2', command)} {SMALL.removeprefix('--epochs 1')}"
    elif "chargen train" in command:  # the rate of one config falls after epochs that a short training does not have
        in_numpy = CHARGEN[command] not in TRAINED_AS_WRITTEN and not NOT_IN_NUMPY.search(command)
        command = f"{command} {SMALL}" + " --schedule constant" * ("nietzsche-last" in command)
        command += " --backend numpy" * in_numpy
    if "--distribute" in command:  # with devices that share such a small batch
        command = f"XLA_FLAGS=--xla_force_host_platform_device_count=2 {command}"
    if command.startswith("chargen serve"):
        assert_serves(f"exec {command} --port 0", folder)
        return
    done = subprocess.run(["bash", "-ec", command], cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "is off for the rest" not in done.stderr


def assert_serves(command: str, folder: Path) -> None:
    """Check that a server sends its page until Ctrl-C."""
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


def python_examples(*files: str) -> dict[str, None]:
    """Return the Python examples of some pages, each once."""
    return dict.fromkeys(code for file in files for code in re.findall(r"```python\n(.*?)```", PAGES[file], re.DOTALL))


EXAMPLES = python_examples(*(file for file in FILES if file != KERAS_PAGE))
CLIENT = [code for code in EXAMPLES if "from openai" in code]  # needs a server


@pytest.mark.parametrize("code", [code for code in EXAMPLES if code not in CLIENT])
def test_a_python_example_works(code: str, folder: Path) -> None:
    small = re.sub(r"hidden_size=\d+, epochs=\d+", "hidden_size=4, epochs=1, batch_size=4, sample_every=0", code)
    assert small != code
    done = subprocess.run([sys.executable, "-c", small], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 7


@pytest.mark.parametrize("code", CLIENT)
def test_the_example_of_a_client_works(code: str, folder: Path) -> None:
    pytest.importorskip("openai", reason="openai is not installed")
    command = ["chargen", "serve", str(REPOSITORY / "models" / "names.safetensors"), "--port", "0", "-q"]
    with subprocess.Popen(command, cwd=folder, env=ENVIRONMENT, text=True, stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        address = server.stdout.readline().strip()
        small = code.replace("http://127.0.0.1:8000/", address)
        done = subprocess.run([sys.executable, "-c", small], capture_output=True, text=True, check=False)
        server.terminate()
    assert address in small
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_the_examples_of_a_keras_program_work(keras_program: subprocess.CompletedProcess[str]) -> None:
    assert keras_program.returncode == 0, keras_program.stderr
    assert "Windows(1,220 characters" in keras_program.stdout
    assert keras_program.stdout.count("----- diversity: 0.5") == 2


@pytest.mark.parametrize("command", named(MAKE))
def test_a_make_target_exists(command: str) -> None:
    subprocess.run([*command.split(), "--dry-run"], cwd=REPOSITORY, check=True, capture_output=True)


def test_every_page_is_in_the_navigation() -> None:
    written = {path.relative_to(REPOSITORY / "docs").as_posix() for path in REPOSITORY.glob("docs/**/*.md")}
    assert written | set(GENERATED) == set(NAVIGATION)


@pytest.mark.parametrize("file", FILES)
def test_every_path_and_link_leads_somewhere(file: str) -> None:
    """Paths in the project, and links of files that are also read outside of the site; `make docs` checks the site's links."""
    page, here = PAGES[file], (REPOSITORY / file).parent
    generated = {REPOSITORY / "docs" / one for one in (*GENERATED, *LIVE)}
    for path in re.findall(r"`((?:chargen|tests|docs|benchmarks/(?!gpu\.json)|configs)/[\w./-]*)`", page):
        assert (REPOSITORY / path).exists(), path
    for link in re.findall(r"\]\(([^)#:]+)[^)]*\)", page):
        assert (here / link).exists() or Path(os.path.normpath(here / link)) in generated, link


def test_every_shipped_network_can_be_tried() -> None:
    assert set(re.findall(r'<iframe src="([^"]+)"', PAGES["docs/live.md"])) == set(LIVE) == set(hooks.live_pages())
    for name in shipped_models():
        assert f"--run {name}" in PAGES["docs/live.md"]


def test_the_readme_is_short() -> None:
    assert len(PAGES["README.md"].splitlines()) <= 200


def test_every_shipped_config_and_corpus_is_told_of() -> None:
    for path in (*REPOSITORY.glob("configs/*.toml"), *REPOSITORY.glob("corpora/*.txt")):
        assert path.name in ALL or f"--config {path.stem}" in ALL or path.stem == "demo"


def test_every_extra_is_told_of() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for extra in set(project["optional-dependencies"]) - {"dev", "docs", "notebooks", "bench", "mutation", "torture"}:
        assert f"`chargen[{extra}]`" in PAGES["docs/first-steps.md"]


def test_every_file_of_a_run_is_told_of() -> None:
    run = RunDirectory(Path("run"))
    files = [value.name for name in vars(RunDirectory) if isinstance(value := getattr(run, name), Path)]
    assert len(files) > 8
    for file in files:
        assert file.startswith(".") or re.search(rf"`{re.escape(file)}/?`", PAGES["docs/train.md"] + PAGES["docs/inside.md"])


def test_every_room_is_told_of() -> None:
    page = PAGES["docs/how-it-works.md"]
    for path in (REPOSITORY / "chargen").iterdir():
        name = path.name + "/" * path.is_dir()
        assert name.startswith("__") or path.suffix == ".typed" or f"`{name}`" in page, name


def test_the_reference_has_every_option_and_setting() -> None:
    page = hooks.commands_page()
    assert [name for name in COMMANDS if f"\n## chargen {name}\n" not in page] == []
    assert "\n## chargen corpora get\n" in page
    assert (
        "| `--top-k K` | Draw from the K most probable characters only; 0 for all. \\[default: 0\\] | `CHARGEN_SAMPLE_TOP_K` |"
        in page
    )
    settings = hooks.settings_page()
    for _, field, _, detail in declared_settings():
        assert f"| `{field.name}` | `{flag_name(field.name, detail)}`" in settings or field.name == "files"
    assert "| `--hidden-size` | whole number, at least 1, at most 65,536 | chosen from the text; `128`" in settings


def test_the_tables_are_the_newest_results() -> None:
    """After a benchmark, copy the output of `python -m benchmarks table`; README shows some of its rows."""
    shown = subprocess.run(
        [sys.executable, "-m", "benchmarks", "table"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    blocks = shown.stdout.strip().split("\n\n")
    manual = "\n".join(page for file, page in PAGES.items() if file != "README.md")
    assert [block for block in blocks if block not in manual] == []
    rows = {line for block in blocks for line in block.splitlines()}
    headings = {block.splitlines()[0] for block in blocks if block.startswith("|")}
    excerpts = [table for table in re.findall(r"(?:^\|.*\n)+", PAGES["README.md"], re.M) if table.splitlines()[0] in headings]
    assert len(excerpts) == 2
    assert {line for table in excerpts for line in table.splitlines()} <= rows

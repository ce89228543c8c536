"""Which room may import which, and what light commands never load."""

import ast
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import chargen

PACKAGE = Path(chargen.__file__).parent
HEAVY = {"keras", "tensorflow", "jax", "torch"}
LIGHT = {"cores", "errors", "shipped", "files", "inline", "terminal", "suggestions", "version"}

# Every room and the other rooms that it may import from.
MAY_IMPORT: dict[str, set[str]] = {
    "cores": set(),
    "errors": set(),
    "shipped": {"suggestions"},
    "files": set(),
    "inline": set(),
    "terminal": set(),
    "suggestions": set(),
    "version": set(),
    "settings": LIGHT,
    "native": LIGHT,
    "doctor": LIGHT | {"native"},
    "corpus": LIGHT | {"settings"},
    "memory": LIGHT | {"settings", "native", "corpus"},
    "network": LIGHT | {"settings", "native", "corpus", "memory"},
    "runs": LIGHT | {"settings", "native", "corpus", "network"},
    "writing": LIGHT | {"settings", "native", "corpus", "memory", "network"},
    "tracking": LIGHT,
    "scratch": LIGHT | {"settings", "corpus", "network"},
    "export": LIGHT | {"settings", "corpus", "memory", "network", "writing"},
    "serving": LIGHT | {"settings", "corpus", "memory", "network", "writing", "export"},
    "insight": LIGHT | {"settings", "corpus", "memory", "network", "runs", "writing", "scratch"},
    "pages": LIGHT | {"settings", "runs", "insight"},
    "training": LIGHT
    | {"settings", "native", "corpus", "memory", "network", "runs", "writing", "tracking", "scratch", "export", "insight"},
    "keras": LIGHT | {"settings", "corpus", "network", "runs", "writing", "tracking", "training"},
    "tuning": LIGHT | {"settings", "corpus", "runs", "training"},
    "api": LIGHT | {"settings", "corpus", "network", "runs", "writing", "training", "keras", "insight", "pages", "serving"},
    "cli": LIGHT
    | {
        *("settings", "corpus", "network", "runs", "writing", "tracking", "training", "tuning", "insight", "export", "pages"),
        *("serving", "doctor"),
    },
    "__main__": {"cli"},
    "__init__": {"api", "errors", "version"},
}

# Within training: the rooms that each smaller room may import from. The modules next to them may import all of them.
TRAINING_MAY_IMPORT: dict[str, set[str]] = {
    "cores": set(),
    "devices": set(),
    "layers": {"devices"},
    "engines": {"devices", "layers"},
    "planning": set(),
    "recording": {"planning"},
}
KNOWS_KERAS = {"devices", "layers", "engines", "model", "export", "stock_keras", "keras_trainer", "classifying"}

SERVERS = {"serving/server.py", "serving/connections.py", "cli/serve.py"}  # the last checks whether they are installed

# The only modules that may import the trackers' packages; the first one is a separate program that no module imports.
TRACKERS = {"wandb": "tracking/wandb_process.py", "tensorboard": "tracking/tensorboard_tracker.py"}

MODULES = sorted(PACKAGE.rglob("*.py"))


def room(module: Path) -> str:
    return module.relative_to(PACKAGE).parts[0].removesuffix(".py")


def room_of_training(module: Path) -> str:
    return module.relative_to(PACKAGE / "training").parts[0].removesuffix(".py")


def imports(module: Path) -> Iterator[tuple[str, bool]]:
    """Yield every imported module, also those imported inside functions, and whether the import is at the top level."""
    tree = ast.parse(module.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node in tree.body) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: relative import"
            names = [alias.name for alias in node.names] if node.module == "chargen" else [""]
            yield from ((f"{node.module}.{name}".rstrip("."), node in tree.body) for name in names)


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_rooms_import_only_from_those_below(module: Path) -> None:
    here = room(module)
    for name, _ in imports(module):
        top, _, rest = name.partition(".")
        if top == "chargen" and rest:
            assert rest.partition(".")[0] in MAY_IMPORT[here] | {here}, f"{module} imports {name}"
        if top in HEAVY:
            assert here in ("training", "keras"), f"{module} imports {name}"
            assert here == "keras" or room_of_training(module) in KNOWS_KERAS, f"{module} imports {name}"
        if top in TRACKERS or name == "chargen.tracking.wandb_process":
            assert module.relative_to(PACKAGE).as_posix() == TRACKERS.get(top), f"{module} imports {name}"
        if top in {"starlette", "uvicorn"}:
            assert module.relative_to(PACKAGE).as_posix() in SERVERS, f"{module} imports {name}"
        if top == "optuna":
            assert module.relative_to(PACKAGE).as_posix() == "tuning/study.py", f"{module} imports {name}"
        assert top not in {"pickle", "cPickle", "dill", "joblib"}, f"{module} imports {name}"


@pytest.mark.parametrize("module", sorted(PACKAGE.glob("training/*/*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_rooms_of_training_import_only_from_those_below(module: Path) -> None:
    here = room_of_training(module)
    for name, _ in imports(module):
        if name.startswith("chargen.training.") and here in TRAINING_MAY_IMPORT:
            assert name.split(".")[2] in TRAINING_MAY_IMPORT[here] | {here}, f"{module} imports {name}"


@pytest.mark.parametrize("module", sorted(PACKAGE.glob("cli/*.py")), ids=lambda path: path.name)
def test_commands_import_their_work_inside_the_callback(module: Path) -> None:
    allowed = LIGHT | {"cli", "settings"}
    for name, at_top in imports(module):
        if at_top and name.startswith("chargen."):
            assert name.split(".")[1] in allowed, f"{module} imports {name} at its top"


def test_models_are_loaded_by_our_own_reader_alone() -> None:
    for module in MODULES:
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
            assert not (isinstance(node, ast.Attribute) and node.attr == "load_model"), f"{module} calls somebody's load_model"
            if isinstance(node, ast.ImportFrom) and "load_model" in [alias.name for alias in node.names]:
                assert node.module == "chargen.network.model_file", f"{module} imports another load_model"


OPTIONAL = {"wandb", "tensorboard", "matplotlib", "optuna", "starlette", "uvicorn", "pyarrow", "fsspec", "pypdf"}


@pytest.fixture
def trained(in_folder: Path) -> None:
    """Make the text long.txt and train the run runs/small on it, in a process of its own."""
    (in_folder / "long.txt").write_text("abcH" * 20, encoding="utf-8")
    small = ["--hidden-size", "4", "--context-length", "8", "--epochs", "1", "--backend", "numpy", "-q"]
    command = [sys.executable, "-m", "chargen", "train", "long.txt", *small]
    done = subprocess.run(command, cwd=in_folder, capture_output=True, text=True, check=True)
    (in_folder / done.stdout.strip()).rename(in_folder / "runs" / "small")


LIGHT_COMMANDS = [
    ["--help"],
    ["train", "--help"],
    ["sample", "--help"],
    ["sample", "--seed", "aH"],
    ["sample", "--count", "3", "--json"],
    ["sample", "--beam", "3", "--temp", "1.0"],
    ["sample", "--run", "noise", "--run", "noise", "--must-contain", "a", "--repetition-penalty", "1.2"],
    ["next", "aH"],
    ["play", "--count", "1", "--length", "3"],
    ["classify", "aH", "--run", "labelled"],
    ["classify", "aH", "bc", "--run", "critic", "--json"],
    ["export", "--output", "noise.html"],
    ["export", "--output", "noise.py"],
    ["export", "--output", "noise.onnx"],
    ["inspect", "text.txt", "long.txt", "--json"],
    ["evaluate", "noise", "text.txt"],
    ["evaluate", "small", "--dynamic", "--training"],
    ["compare", "small", "small", "--evaluate"],
    ["novelty", "trained", "--count", "2", "--length", "9"],
    ["sample", "--run", "trained", "--novel"],
    ["surprise", "noise", "text.txt"],
    ["surprise", "noise", "text.txt", "--html", "page.html"],
    ["units", "noise", "text.txt", "--find", "line-position"],
    ["units", "noise", "text.txt", "--html", "page.html"],
    ["serve", "--help"],
    ["report", "small"],
    ["report", "critic", "--no-evaluation"],
    ["runs"],
    ["plot"],
    ["plot", "missing", "--output", "loss.svg"],
    ["config", "show", "--config", "char-rnn"],
    ["corpora"],
    ["corpora", "list", "--json"],
    ["doctor"],
    ["corpora", "get", "missing"],
    ["corpora", "get", "tiny", "-o", "copy.txt"],
    ["completion", "bash"],
    ["train", "missing.txt"],
    ["tune", "--help"],
    ["tune", "missing.txt"],
    ["tune", "tiny.txt", "--search", "network.cell=transformer"],
    ["train", "--config", "missing"],
    ["train", "tiny.txt", "--context-length", "100000"],
    ["train", "tiny.txt", "--task", "classify"],
]

RUN_EACH = f"""
import json, sys
heavy = {HEAVY | OPTIONAL}
from chargen.cli import main
for arguments in json.load(sys.stdin):
    sys.argv = ["chargen", *arguments]
    try:
        main()
    except SystemExit as ended:
        assert ended.code in (0, 2), (arguments, ended.code)
    assert not heavy & set(sys.modules), (arguments, heavy & set(sys.modules))
"""


def test_light_commands_stay_light(
    write_run: Callable[..., Path],
    write_trained: Callable[..., Path],
    write_classifier: Callable[..., Path],
    trained: None,
    in_folder: Path,
) -> None:
    (in_folder / "text.txt").write_text("abH\nab\n", encoding="utf-8")
    write_trained("trained", files=("text.txt",))
    write_classifier("critic")
    write_run("labelled", labels=("x", "y"))
    (write_run().parent / "metrics.csv").write_text("epoch,cross_entropy,learning_rate\n1,2.5,0.003\n", encoding="utf-8")
    command = [sys.executable, "-c", RUN_EACH]
    done = subprocess.run(command, cwd=in_folder, capture_output=True, text=True, check=False, input=json.dumps(LIGHT_COMMANDS))
    assert done.returncode == 0, done.stderr


NO_NUMPY = f"""
import atexit, sys
atexit.register(lambda: print("loaded:", *sorted({{'numpy', *{HEAVY | OPTIONAL}}} & set(sys.modules)), file=sys.stderr))
from chargen.cli import main
main()
"""


def test_help_loads_no_numpy(in_folder: Path) -> None:
    done = subprocess.run([sys.executable, "-c", NO_NUMPY, "--help"], capture_output=True, text=True, check=True)
    assert "loaded:\n" in done.stderr


# What only other commands, and errors, need; each would take about one percent of the time in which a short text is written.
NEEDLESS = {"tempfile", "shutil", "zipfile", "difflib", "shlex", "traceback", "tomllib", "tomli_w", "safetensors"}

SAMPLE = f"""
import atexit, sys
atexit.register(lambda: print("loaded:", *sorted({NEEDLESS} & set(sys.modules)), file=sys.stderr))
from chargen.cli import main
main()
"""


def test_sample_loads_only_what_it_needs(write_run: Callable[..., Path], in_folder: Path) -> None:
    write_run()
    command = [sys.executable, "-c", SAMPLE, "sample", "--count", "1"]
    done = subprocess.run(command, cwd=in_folder, capture_output=True, text=True, check=True)
    assert done.stdout
    assert done.stderr == "loaded:\n"


LIBRARY = """
import sys
import chargen
heavy = {heavy} & set(sys.modules)
assert not heavy, heavy
"""


def test_importing_the_package_loads_nothing(in_folder: Path) -> None:
    code = LIBRARY.format(heavy={*HEAVY, "numpy", "click", "chargen.api"})
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_python_interface_writes_without_keras(write_run: Callable[..., Path], in_folder: Path) -> None:
    write_run()
    code = LIBRARY.replace("import chargen\n", "import chargen\nchargen.load().generate('aH')\n").format(heavy={*HEAVY, "rich"})
    subprocess.run([sys.executable, "-c", code], check=True, cwd=in_folder)


@pytest.mark.parametrize("words", ["chargen ", "chargen train --config ", "chargen train ", "chargen sample --run "])
def test_a_completion_loads_no_numpy(words: str, in_folder: Path) -> None:
    asked = {"_CHARGEN_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
    done = subprocess.run(
        [sys.executable, "-c", NO_NUMPY], cwd=in_folder, env=os.environ | asked, capture_output=True, text=True, check=True
    )
    assert done.stderr == "loaded:\n"
    assert done.stdout

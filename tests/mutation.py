"""Mutation testing: change the code in one place at a time, and count how many of the changes make a test fail.

    python -m tests.mutation --count 300

needs `pip install 'chargen[mutation]'`. The mutants are drawn at random from all places in the rooms below that an operator of
Cosmic Ray can change, at most one per place; annotations are skipped. The tests of a room run once with coverage.py, which
records the lines that each test runs. Then each mutant is tested in a copy of the repository by the tests that run its line. A
surviving mutant is printed with its change.
"""

import argparse
import ast
import difflib
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import Any, NamedTuple

import coverage
from cosmic_ray.ast import ast_nodes, get_ast_from_path
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator, operator_names

ROOT = Path(__file__).parents[1]
ROOMS = {
    "chargen/corpus": "tests/corpus",
    "chargen/network": "tests/network",
    "chargen/writing": "tests/writing",
    "chargen/training/planning": "tests/training",
}
COVERAGE_FILE = ".coverage"
NOT_TESTS_OF_ROOM = {  # tests that start many processes, or train
    "tests/network": {"test_hostile_model_files.py", "test_against_keras.py"},
    "tests/training": {path.name for path in (ROOT / "tests/training").glob("test_*.py")}
    - {"test_plan.py", "test_recipes.py", "test_pace.py", "test_transfer.py", "test_measuring.py", "test_gpu.py"},
}
SECONDS = 300.0  # seconds for the tests of one mutant; a slower one counts as found
SURVIVED = 0  # exit code of pytest if all tests pass

Position = tuple[int, int]  # line, column
TestsByLine = dict[int, list[str]]  # the ids of the tests that run each line of a module


class Mutant(NamedTuple):
    """One change: the module, relative to the repository, and the index of the change for its operator."""

    module: Path
    operator: str
    occurrence: int
    line: int


def find_mutants(module: Path) -> dict[Position, list[Mutant]]:
    """Return the mutants of a module by their place."""
    found: dict[Position, list[Mutant]] = defaultdict(list)
    tree, annotated = get_ast_from_path(ROOT / module), _annotations(ROOT / module)
    for name in operator_names():
        operator = get_operator(name)
        if operator.arguments():
            continue
        places = (place for node in ast_nodes(tree) for place, _ in operator().mutation_positions(node))
        for occurrence, place in enumerate(places):
            if not any(start <= place < end for start, end in annotated):
                found[place].append(Mutant(module, name, occurrence, place[0]))
    return found


def _annotations(path: Path) -> list[tuple[Position, Position]]:
    """Return where the annotations of a module start and end."""
    nodes: list[ast.expr | None] = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.arg | ast.AnnAssign):
            nodes.append(node.annotation)
        if isinstance(node, ast.FunctionDef):
            nodes.append(node.returns)
    return [
        ((node.lineno, node.col_offset), (node.end_lineno or 0, node.end_col_offset or 0)) for node in nodes if node is not None
    ]


def draw_mutants(count: int, *, seed: int) -> list[Mutant]:
    """Draw `count` mutants at different places."""
    rng = random.Random(seed)
    modules = sorted(path.relative_to(ROOT) for room in ROOMS for path in (ROOT / room).rglob("*.py"))
    places = [mutants for module in modules for _, mutants in sorted(find_mutants(module).items())]
    return [rng.choice(mutants) for mutants in rng.sample(places, min(count, len(places)))]


def mutated(mutant: Mutant) -> tuple[str, str]:
    """Return a module's code before and after the change."""
    code = (ROOT / mutant.module).read_text(encoding="utf-8")
    changed = mutate_code(code, get_operator(mutant.operator)(), mutant.occurrence)
    assert changed is not None
    return code, changed


def test_files(room: str, root: Path) -> list[str]:
    """Return the test files of a room, and its modules with doctests."""
    tests = ROOMS[room]
    files = [path for path in (root / tests).glob("test_*.py") if path.name not in NOT_TESTS_OF_ROOM.get(tests, ())]
    return [*map(str, sorted(files)), *([] if tests == "tests/training" else [str(root / room)])]


def run_tests(tests: list[str], root: Path, *options: str, seconds: float | None) -> subprocess.CompletedProcess[str]:
    """Run tests in a copy of the repository, up to the first failure. Raises TimeoutExpired after `seconds`."""
    arguments = root / "tests.txt"
    arguments.write_text("\n".join(tests), encoding="utf-8")
    environment = os.environ | {"PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1", "COVERAGE_FILE": COVERAGE_FILE}
    alone = ("-x", "-q", "-n", "0", "--dist", "no", "-p", "no:cacheprovider")
    command = [sys.executable, "-m", "pytest", *alone, *options, f"@{arguments}"]
    return subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=seconds)


def passes(tests: list[str], root: Path) -> bool:
    """Run tests in a copy of the repository, and return whether all pass in time."""
    try:
        return run_tests(tests, root, seconds=SECONDS).returncode == SURVIVED
    except subprocess.TimeoutExpired:
        return False


def find_covering(room: str, root: Path) -> dict[Path, TestsByLine]:
    """Run the tests of a room, and return which tests run each line of its modules.

    Exits if the tests fail without a mutant, because then they would find every mutant.
    """
    options = (f"--cov={room}", "--cov-context=test", "--cov-report=")
    done = run_tests(test_files(room, root), root, *options, seconds=None)
    if done.returncode != SURVIVED:
        sys.exit(f"{done.stdout[-2000:]}\nthe tests of {room} fail without a mutant")
    data = coverage.CoverageData(str(root / COVERAGE_FILE))
    data.read()
    return {
        Path(file).relative_to(root): {
            line: sorted({context.partition("|")[0] for context in contexts if context})
            for line, contexts in data.contexts_by_lineno(file).items()
        }
        for file in data.measured_files()
    }


def tests_of(mutant: Mutant, covering: TestsByLine) -> list[str]:
    """Return the tests that run a mutant's line; for a line that runs at import, all tests that run its module."""
    return covering.get(mutant.line) or sorted({test for tests in covering.values() for test in tests})


def survives(mutant: Mutant, tests: list[str], root: Path) -> bool:
    """Test a mutant in a copy of the repository at `root`, and undo the change."""
    before, after = mutated(mutant)
    path = root / mutant.module
    path.write_text(after, encoding="utf-8")
    try:
        return not tests or passes(tests, root)
    finally:
        path.write_text(before, encoding="utf-8")


def copies(count: int, folder: Path) -> SimpleQueue[Path]:
    """Copy the files in git to several folders."""
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout.decode().split("\0")
    made: SimpleQueue[Path] = SimpleQueue()
    for number in range(count):
        root = folder / str(number) / "chargen"
        for name in filter(None, names):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, root / name)
        if (ROOT.parent / "shared").exists():
            (root.parent / "shared").symlink_to(ROOT.parent / "shared")
        made.put(root)
    return made


def try_mutants(mutants: list[Mutant], *, jobs: int) -> Iterator[tuple[Mutant, bool]]:
    """Test mutants, `jobs` at a time, and yield each and whether it survived."""
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(jobs) as pool:
        free = copies(jobs, Path(folder))

        def in_a_copy(function: Callable[..., Any], *arguments: Any) -> Any:
            root = free.get()
            try:
                return function(*arguments, root)
            finally:
                free.put(root)

        covering: dict[Path, TestsByLine] = {}
        for found in pool.map(partial(in_a_copy, find_covering), ROOMS):
            covering |= found
        tests = [tests_of(mutant, covering.get(mutant.module, {})) for mutant in mutants]
        yield from zip(mutants, pool.map(partial(in_a_copy, survives), mutants, tests), strict=True)


def describe(mutant: Mutant) -> str:
    """Return a mutant's change as a diff without context."""
    before, after = (code.splitlines() for code in mutated(mutant))
    lines = [line for line in difflib.unified_diff(before, after, n=0, lineterm="") if line[:2] not in ("--", "++", "@@")]
    return "\n".join([f"{mutant.module}:{mutant.line} {mutant.operator}", *(f"    {line}" for line in lines)])


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=300, help="mutants to test")
    parser.add_argument("--seed", type=int, default=1, help="seed of the choice of mutants")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="mutants tested at the same time")
    options = parser.parse_args()
    tested: dict[str, list[bool]] = defaultdict(list)
    for mutant, survived in try_mutants(draw_mutants(options.count, seed=options.seed), jobs=options.jobs):
        room = next(room for room in ROOMS if mutant.module.is_relative_to(room))
        tested[room].append(survived)
        if survived:
            print(describe(mutant), flush=True)
    for room, outcomes in sorted(tested.items()):
        print(f"{room}: {outcomes.count(False)} of {len(outcomes)} mutants found by the tests")
    outcomes = [survived for each in tested.values() for survived in each]
    print(f"all: {outcomes.count(False)} of {len(outcomes)} ({outcomes.count(False) / max(1, len(outcomes)):.0%})")


if __name__ == "__main__":
    main()

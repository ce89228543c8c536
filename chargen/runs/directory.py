"""Make, lock and find run directories, which hold everything of one training in plain files."""

import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chargen.errors import ModelFileError, RunError
from chargen.files import write_atomically
from chargen.network.model_file import KERAS_SUFFIX, MODEL_SUFFIX, read_metadata
from chargen.shipped import SHIPPED, shipped_models

if TYPE_CHECKING:
    from filelock import FileLock

TIME_FORMAT = "%Y%m%d-%H%M%S"
SECONDS_TO_WRITE_A_NAME = 5  # into a run directory that was locked just now


@dataclass(frozen=True)
class RunDirectory:
    """The folder of one run, and the paths of its files."""

    path: Path

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.path.name

    @property
    def title(self) -> str:
        """The name by which a tracker shows the run; that of a network of several begins with that of their run."""
        return f"{self.path.parents[1].name}-{self.name}" if self.path.parent.name == self.members.name else self.name

    @property
    def config(self) -> Path:
        """All settings."""
        return self.path / "config.toml"

    @property
    def model(self) -> Path:
        """The best model."""
        return self.path / f"model{MODEL_SUFFIX}"

    @property
    def last_model(self) -> Path:
        """The model after the last epoch, or where training was interrupted."""
        return self.path / f"last{MODEL_SUFFIX}"

    @property
    def metrics(self) -> Path:
        """One row for each epoch."""
        return self.path / "metrics.csv"

    @property
    def checkpoints(self) -> Path:
        """The folder of checkpoints."""
        return self.path / "checkpoints"

    @property
    def members(self) -> Path:
        """The folder of the networks' own runs, of a training of several."""
        return self.path / "members"

    def member(self, number: int) -> "RunDirectory":
        """Return the run of one network of several, counted from 1."""
        return RunDirectory(self.members / str(number))

    @property
    def lock(self) -> Path:
        """The lock file that a training holds."""
        return self.path / ".lock"

    @property
    def holder(self) -> Path:
        """The name of the process that holds the lock."""
        return self.path / ".holder"

    @property
    def gradients(self) -> Path:
        """One row for each epoch and recurrent layer: where gradients vanish or explode."""
        return self.path / "gradients.csv"

    @property
    def samples(self) -> Path:
        """All sample texts; samples.txt beside it holds the same for people."""
        return self.path / "samples.jsonl"

    @property
    def versions(self) -> Path:
        """The versions of Python, chargen and the packages that computed."""
        return self.path / "versions.toml"

    @property
    def report(self) -> Path:
        """The page that `chargen report` writes."""
        return self.path / "report.html"


def write_first(path: Path, text: str) -> None:
    """Write a file of a new run before training begins. Raises RunError if it cannot be written."""
    try:
        write_atomically(path, text)
    except OSError as error:
        raise RunError(f"cannot write {path}: {error.strerror}", hint="choose another --runs-dir") from error


@contextmanager
def locked(run: RunDirectory) -> Iterator[None]:
    """Lock a run directory for one training. Raises RunError, which names the holder, if another one has locked it.

    The system releases the lock when its holder ends.
    """
    from filelock import FileLock  # takes a tenth of the start of commands that only read runs

    lock = FileLock(run.lock)
    try:
        _acquire(lock, run)
    except OSError as error:
        raise RunError(f"cannot lock {run.path}: {error.strerror}", hint="choose another --runs-dir") from error
    try:
        run.holder.write_text(f"process {os.getpid()} on {platform.node()}", encoding="utf-8")
        yield
    finally:
        run.holder.unlink(missing_ok=True)
        lock.release()


def _acquire(lock: "FileLock", run: RunDirectory) -> None:
    """Take the lock or raise RunError; wait for a holder that has yet to write its name, or is releasing the lock."""
    looks_until = time.monotonic() + SECONDS_TO_WRITE_A_NAME
    while True:
        try:
            lock.acquire(blocking=False)
            return
        except TimeoutError:
            holder = _holder(run)
        if holder or time.monotonic() > looks_until:
            raise RunError(f"{run.path} is in use by {holder or 'another process'}", hint="wait for it to end")
        time.sleep(0.05)


def _holder(run: RunDirectory) -> str:
    try:
        return run.holder.read_text(encoding="utf-8")
    except OSError:
        return ""


@contextmanager
def started_run(root: Path, *, corpus: str, cell: str, now: datetime) -> Iterator[RunDirectory]:
    """Make a run directory as `create_run` does and lock it; remove it at the end if nothing was trained."""
    run = create_run(root, corpus=corpus, cell=cell, now=now)
    try:
        with locked(run):
            yield run
    finally:
        if not run.model.exists() and not has_progress(run):
            from shutil import rmtree

            rmtree(run.path, ignore_errors=True)


def has_progress(run: RunDirectory) -> bool:
    """Tell whether there is a checkpoint of a step after the first."""
    found = (*run.checkpoints.glob("*"), *run.members.glob("*/checkpoints/*"))
    return any(not path.name.startswith((".", "000000-000000000")) for path in found)


def find_resumable(spec: str | None, root: Path) -> RunDirectory:
    """Return the run of a name or path, or the newest one that has checkpoints. Raises RunError if there is none."""
    if spec is None:
        own, of_members = root.glob("*/checkpoints"), root.glob("*/members/*/checkpoints")
        places = [(path, path.parent) for path in own] + [(path, path.parents[2]) for path in of_members]
        if not places:
            raise RunError(f"no run with a checkpoint in {root}", hint="--resume goes on with a training that was stopped")
        return RunDirectory(max(places, key=lambda place: place[0].stat().st_mtime_ns)[1])
    for path in (Path(spec), root / spec):
        if path.is_dir():
            if not RunDirectory(path).config.is_file():
                raise RunError(f"{path} is not a run: it has no config.toml", hint="chargen runs lists them")
            return RunDirectory(path)
    raise RunError(f"no such run: {spec}", hint="chargen runs lists them")


def check_room(run: RunDirectory, needed: int) -> None:
    """Raise RunError if the disk of a run directory has fewer than `needed` bytes left."""
    from shutil import disk_usage

    free = disk_usage(run.path).free
    if free < needed:
        raise RunError(
            f"models and checkpoints need about {needed / 1e6:,.0f} MB of disk, {run.path} has {free / 1e6:,.0f} MB",
            hint="make room, or choose another --runs-dir",
        )


def create_run(root: Path, *, corpus: str, cell: str, now: datetime) -> RunDirectory:
    """Make the directory <root>/<corpus>-<cell>-<time>; if it exists, a number is added.

    Raises RunError if it cannot be made.
    """
    name = f"{_safe(corpus)}-{cell}-{now.strftime(TIME_FORMAT)}"
    for attempt in range(1, 1000):
        path = root / (name if attempt == 1 else f"{name}-{attempt}")
        try:
            path.mkdir(parents=True)
        except FileExistsError:
            if not root.is_dir():
                raise RunError(f"{root} is not a folder", hint="choose another with --runs-dir") from None
            continue
        except OSError as error:
            raise RunError(f"cannot make the folder {path}: {error.strerror}", hint="choose another with --runs-dir") from error
        return RunDirectory(path)
    raise RunError(f"{root} holds too many runs of the name {name}")


def find_model(spec: str | None, root: Path) -> Path:
    """Return the model file of a run: by name in `root`, by path, a model file itself, or a shipped one.

    None takes the newest run. Raises RunError if there is none.
    """
    path = _find(spec, root)
    if path.is_file():
        return path
    model = RunDirectory(path).model
    if model.is_file():
        return model
    raise RunError(f"{path} holds no model{MODEL_SUFFIX}", hint="its training may not have finished an epoch")


def find_run(spec: str | None, root: Path) -> RunDirectory:
    """Return a run: by name in `root`, by path, or by the path of a file in it; None takes the newest run.

    Raises RunError if there is none.
    """
    path = _find(spec, root)
    return RunDirectory(path if path.is_dir() else path.parent)


def names_run(spec: str, root: Path) -> bool:
    """Tell whether a name or path, which may also be that of a text, is a run or a model file."""
    try:
        here = RunDirectory(Path(spec))
        if Path(spec).suffix in (MODEL_SUFFIX, KERAS_SUFFIX) or spec in shipped_models():
            return True
        return (root / spec).is_dir() or here.model.is_file() or here.config.is_file()
    except OSError:  # such as a name too long
        return False


def _find(spec: str | None, root: Path) -> Path:
    """Return the folder or file that `spec` names, the newest run's folder for None."""
    if spec is None:
        runs = model_runs(root)
        if not runs:
            first = next(iter(shipped_models()))
            hint = f"train one: chargen train male.txt; or try one that comes with chargen: chargen sample --run {first}"
            raise RunError(f"no trained run in {root}", hint=hint)
        return runs[0].path
    try:
        for path in (Path(spec), root / spec):
            if path.is_file() or path.is_dir():
                return path
        is_name = len(Path(spec).parts) == 1 or Path(spec).parts[0] == SHIPPED
        shipped = shipped_models() if is_name else {}
        if spec in shipped:
            return shipped[spec]
    except OSError as error:  # such as a name too long, or a folder that may not be entered
        raise RunError(f"cannot read the run {spec:.100}: {error.strerror}") from error
    come_along = f"; {' and '.join(shipped)} come with chargen" if shipped else ""
    raise RunError(f"no such run: {spec}", hint=f"chargen runs lists them{come_along}")


def model_runs(root: Path) -> list[RunDirectory]:
    """Return the runs below `root` that have a model, newest model first."""
    found = [RunDirectory(path.parent) for path in root.glob(f"*/model{MODEL_SUFFIX}") if path.is_file()]
    return sorted(found, key=lambda run: (run.model.stat().st_mtime_ns, run.name), reverse=True)


def summarize(run: RunDirectory) -> dict[str, Any]:
    """Return the figures that `chargen runs` prints; a model file that cannot be read gives an "error"."""
    summary: dict[str, Any] = {"name": run.name, "path": str(run.path), "modified": run.model.stat().st_mtime}
    try:
        metadata = read_metadata(run.model)
    except ModelFileError as error:
        return summary | {"error": error.message}
    (network, *others), provenance = metadata["networks"], metadata["provenance"]
    return summary | {
        "task": metadata["task"],
        "corpus": provenance.get("corpus"),
        "cell": network.cell,
        "num_layers": network.num_layers,
        "hidden_size": network.hidden_size,
        "networks": 1 + len(others),
        "vocab_size": len(metadata["vocabulary"]),
        "epochs": provenance.get("epochs"),
        "bits_per_character": provenance.get("bits_per_character"),
        "accuracy": provenance.get("accuracy"),
        "test_accuracy": recorded_test(provenance),
        "labels": list(metadata["labels"] if metadata["task"] == "classify" else metadata["vocabulary"].labels),
    }


def recorded_test(provenance: Any) -> float | None:
    """Return the accuracy on the texts of --test that a model file records, None if there is none."""
    tested = provenance.get("test")
    accuracy = tested.get("accuracy") if isinstance(tested, dict) else None
    return accuracy if isinstance(accuracy, float) else None


def _safe(name: str) -> str:
    """Return a name that is safe in a path on every system."""
    kept = "".join(one if one.isalnum() or one in "-_+" else "-" for one in name).strip("-")
    return kept[:60] or "text"

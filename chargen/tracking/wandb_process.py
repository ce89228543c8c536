"""Log to Weights & Biases. `WandbTracker` runs this file as a program; it imports nothing of chargen.

It reads messages from stdin, one line of JSON each, and answers on stdout when it has begun, finished or failed, or cannot
reach W&B. It may wait for the network for any time; `WandbTracker` kills it when it takes too long, and then removes the
temporary folder that is the program's argument.
"""

import filecmp
import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, TextIO

COLUMNS = ["epoch", "prompt", "diversity", "text"]
LAST_SECONDS = 90  # seconds for the end of a run, even if the training has died
PROJECT = "chargen"  # used if neither the user nor wandb's settings name a project
SHARE_OF_ROWS = 0.1  # share of the table that must be new before it is logged again


class SampleTable:
    """The sample texts of a run as a growing table.

    Each log of an incremental table sends its new rows and lists all earlier logs, so the data stays linear in the rows only if
    logs become rarer.
    """

    def __init__(self, run: Any) -> None:
        import wandb

        self._run, self._table = run, wandb.Table(columns=COLUMNS, log_mode="INCREMENTAL")
        self._total = self._new = 0
        self._epoch = 0

    def add(self, rows: Sequence[tuple[int, str, float, str]]) -> None:
        """Add the rows of an epoch, and log the table if enough of it is new."""
        for row in rows:
            self._table.add_data(*row)
            self._epoch = row[0]
        self._total, self._new = self._total + len(rows), self._new + len(rows)
        if self._new >= SHARE_OF_ROWS * self._total:
            self.log()

    def log(self) -> None:
        """Log the table if it has new rows."""
        if self._new:
            self._run.log({"samples": self._table, "epoch": self._epoch})
            self._new = 0


def main() -> None:
    """Process the messages until the end of stdin; report a failure."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # otherwise wandb sends stack traces to its developers
    answers, temporary = _own_stdout(), sys.argv[1]
    try:
        _import_wandb(temporary)
        _follow(sys.stdin, answers)
    except BaseException as error:  # wandb also ends programs with SystemExit
        _answer(answers, "failed", _reason(error))
        os._exit(1)  # skips wandb's exit handlers, which may take long
    shutil.rmtree(temporary, ignore_errors=True)  # if the training was killed, nobody else does it


def _import_wandb(temporary: str) -> None:
    """Import wandb, which makes temporary folders and removes them at a regular end only, with these in a folder of ours."""
    tempfile.tempdir = temporary
    import wandb  # noqa: F401

    tempfile.tempdir = None


def _own_stdout() -> TextIO:
    """Reserve stdout for the answers, and redirect all other output to stderr."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return answers


def _answer(answers: TextIO, message: str, content: Any) -> None:
    with suppress(BrokenPipeError):  # the training was killed; its run is still ended
        answers.write(json.dumps([message, content]) + "\n")
        answers.flush()


def _reason(error: BaseException) -> str:
    """Return the error in one line."""
    if isinstance(error, ModuleNotFoundError):
        return f"{error.name} is not installed; pip install {error.name}"
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__


def _follow(messages: Iterable[str], answers: TextIO) -> None:
    run: Any = None
    samples: Any = None
    for line in messages:
        if not line.endswith("\n"):
            break  # the training was killed while writing
        message, content = json.loads(line)
        if message == "start":
            run = _begin(content, answers)
            samples = SampleTable(run)
        elif message == "log":
            run.log(content)
        elif message == "samples":
            samples.add(content)
        else:
            _finish(run, samples, **content)
            _answer(answers, "finished", None)
            return
    if run:  # the training was killed
        _finish(run, samples, exit_code=1, models={})


def _begin(options: Mapping[str, Any], answers: TextIO) -> Any:
    """Begin the run; if W&B cannot be reached, report why and end the process.

    Ending it also ends wandb's service, which may otherwise wait for the network.
    """
    try:
        run = _init(options)
    except Exception as error:
        if options["mode"] == "offline":
            raise
        _answer(answers, "unreachable", _reason(error))
        os._exit(0)
    begun = {"folder": run.settings.sync_dir, "url": run.url, "offline": run.offline, "problem": options["problem"]}
    _answer(answers, "started", begun)
    run.define_metric("*", step_metric="epoch")
    return run


def _init(options: Mapping[str, Any]) -> Any:
    """Begin the run. Options that are None are left to wandb's environment variables and settings files."""
    import wandb

    settings = wandb.Settings(
        silent=True,
        console="off",
        save_code=False,
        disable_code=True,
        disable_git=True,
        program="chargen",
        x_save_requirements=False,
        x_stats_pid=options["watched"],
    )
    return wandb.init(
        project=options["project"] or wandb.setup().settings.project or PROJECT,
        mode=options["mode"],
        group=options["group"],
        tags=options["tags"] or None,
        name=os.environ.get("WANDB_NAME") or options["name"],
        dir=os.environ.get("WANDB_DIR") or options["folder"],
        id=options["id"],
        resume="allow" if options["resume"] else None,
        config=options["config"],
        settings=settings,
    )


def _finish(run: Any, samples: SampleTable, *, exit_code: int, models: Mapping[str, str]) -> None:
    """End the run, and log what is left."""
    signal.alarm(LAST_SECONDS)
    try:
        samples.log()
        _log_models(run, models)
    finally:
        run.finish(exit_code=exit_code)


def _log_models(run: Any, models: Mapping[str, str]) -> None:
    """Log model files as versions of one artifact, with their names as aliases."""
    import wandb

    for path, aliases in _distinct(models).items():
        artifact = wandb.Artifact(f"model-{run.id}", type="model")
        artifact.add_file(path, name="model.safetensors", skip_cache=True)
        logged = run.log_artifact(artifact, aliases=aliases)
        if run.url:
            logged.wait()  # the version logged last is the latest


def _distinct(models: Mapping[str, str]) -> dict[str, list[str]]:
    """Return the aliases of each file; for files with equal content the first one has the aliases of all."""
    found: dict[str, list[str]] = {}
    for alias, path in models.items():
        same = next((one for one in found if filecmp.cmp(one, path, shallow=False)), path)
        found.setdefault(same, []).append(alias)
    return found


if __name__ == "__main__":
    main()

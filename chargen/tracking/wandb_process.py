"""Talk to Weights & Biases. `WandbTracker` starts this file as a program; it uses nothing of chargen.

It reads messages from stdin, a line of JSON each, and answers on stdout: that it has begun or finished, or why it has failed.
It may wait for the network as long as it likes, and is killed when it waits too long.
"""

import filecmp
import json
import os
import signal
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, TextIO

COLUMNS = ["epoch", "prompt", "diversity", "text"]
LAST_SECONDS = 90  # for the end of a run, whatever has become of the training
PROJECT = "chargen"  # where neither the user nor wandb's settings name one
SHARE_OF_ROWS = 0.1  # of the table, which have to be new for it to be logged once more


class SampleTable:
    """The sample texts of a run as a table that grows.

    Each log of an incremental table sends its new rows, and names all logs before: what is sent is linear in the rows only if
    the logs get fewer.
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
        """Log the table if anything of it is new."""
        if self._new:
            self._run.log({"samples": self._table, "epoch": self._epoch})
            self._new = 0


def main() -> None:
    """Follow the messages to their end; say so if that fails."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # it would send stack traces to the makers of wandb
    answers = _own_stdout()
    try:
        _follow(sys.stdin, answers)
    except BaseException as error:  # wandb ends programs by SystemExit, too
        _answer(answers, "failed", _reason(error))
        os._exit(1)  # nobody waits for what wandb would do at exit


def _own_stdout() -> TextIO:
    """Return stdout for the answers alone; what else prints there goes where stderr goes."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return answers


def _answer(answers: TextIO, message: str, content: Any) -> None:
    with suppress(BrokenPipeError):  # the training was killed; its run is ended none the less
        answers.write(json.dumps([message, content]) + "\n")
        answers.flush()


def _reason(error: BaseException) -> str:
    """Return one line that says what went wrong."""
    if isinstance(error, ModuleNotFoundError):
        return f"{error.name} is not installed; pip install {error.name}"
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__


def _follow(messages: Iterable[str], answers: TextIO) -> None:
    run: Any = None
    samples: Any = None
    for line in messages:
        if not line.endswith("\n"):
            break  # the training was killed as it wrote
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
    """Begin the run, offline where W&B cannot be reached."""
    import wandb

    problem = None
    try:
        run = _init(options)
    except Exception as error:
        wandb.teardown()
        problem = _reason(error)
        run = _init({**options, "mode": "offline"})
    _answer(answers, "started", {"folder": run.settings.sync_dir, "url": run.url, "offline": run.offline, "problem": problem})
    run.define_metric("*", step_metric="epoch")
    return run


def _init(options: Mapping[str, Any]) -> Any:
    """Begin the run. What the options leave open is wandb's to know: its environment variables, its settings files."""
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
    """End the run, with what it still has to log."""
    signal.alarm(LAST_SECONDS)
    try:
        samples.log()
        _log_models(run, models)
    finally:
        run.finish(exit_code=exit_code)


def _log_models(run: Any, models: Mapping[str, str]) -> None:
    """Log model files as versions of one artifact, their names as its aliases."""
    import wandb

    for path, aliases in _distinct(models).items():
        artifact = wandb.Artifact(f"model-{run.id}", type="model")
        artifact.add_file(path, name="model.safetensors", skip_cache=True)
        logged = run.log_artifact(artifact, aliases=aliases)
        if run.url:
            logged.wait()  # what comes last is the latest


def _distinct(models: Mapping[str, str]) -> dict[str, list[str]]:
    """Return the aliases of each file; of files with the same content the first has those of all."""
    found: dict[str, list[str]] = {}
    for alias, path in models.items():
        same = next((one for one in found if filecmp.cmp(one, path, shallow=False)), path)
        found.setdefault(same, []).append(alias)
    return found


if __name__ == "__main__":
    main()

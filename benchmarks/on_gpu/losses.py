"""Take the first steps of small networks: `python -m benchmarks.on_gpu.losses BACKEND FOLDER`.

For each name of a form on stdin a network is trained for twenty steps, one at a time, and written as a model file, which NumPy
reads and samples. The answer is a line of JSON: the losses, the text, and a hash of the initial weights.
"""

import hashlib
import json
import os
import sys
from pathlib import Path
from typing import Any

from benchmarks.on_gpu.backends import tensor_float_32
from benchmarks.on_gpu.forms import Form
from chargen.api import load
from chargen.corpus.corpus import load_corpus
from chargen.runs.directory import RunDirectory
from chargen.settings.layers import resolve
from chargen.tracking.tracker import Trackers
from chargen.training.devices.backend import accelerated, load_backend
from chargen.training.planning import memory
from chargen.training.planning.text_plan import make_plan
from chargen.training.recording.display import Display
from chargen.training.recording.text_recorder import TextRecorder

STEPS = 20
TEXT = Path(__file__).parents[2] / "corpora" / "book.txt"
CHARACTERS = 30_000  # of it: enough for the steps


def main(backend: str, folder: Path) -> None:
    """Answer every form on stdin."""
    text = folder / "text.txt"
    text.write_text(TEXT.read_text(encoding="utf-8")[:CHARACTERS], encoding="utf-8")
    memory.WORK_PER_EXECUTION = memory.WORK_ON_GPU = 1.0  # a step at a time
    load_backend(backend)
    if not accelerated():
        _use_one_core()
    for line in sys.stdin:
        print(json.dumps(_train(Form.parse(line.strip()), backend, text)), flush=True)


def _use_one_core() -> None:
    """Use one core: dropout depends on the number of cores, and a GPU counts as one."""
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[os.getpid() % len(cores)]})


def _train(form: Form, backend: str, text: Path) -> dict[str, Any]:
    if form.precision == "float32":
        with tensor_float_32(backend, False):
            return _first_steps(form, backend, text)
    return _first_steps(form, backend, text)


def _first_steps(form: Form, backend: str, text: Path) -> dict[str, Any]:
    from chargen.training.keras_trainer import text_trainer

    settings = resolve((str(form), form.sections(str(text), backend))).settings
    plan = make_plan(settings, load_corpus(settings.corpus, stateful=settings.training.stateful))
    trainer = text_trainer(plan)
    begun = hashlib.sha256(b"".join(weight.tobytes() for weight in trainer.network().weights.values())).hexdigest()
    trainer.begin_epoch()
    losses = [_loss(trainer, step) for step in range(STEPS)]
    model = text.with_name("model.safetensors")
    TextRecorder(plan, RunDirectory(text.parent), Display(verbosity=0), Trackers({})).save_model(model, trainer.network())
    return {"losses": losses, "begun": begun, "text": load(model).generate("The ", length=20, random_seed=1)}


def _loss(trainer: Any, step: int) -> float:
    """Take a step and return its loss."""
    before = trainer.state()["figures"]
    trainer.train(0, step)
    loss, weight = trainer.state()["figures"] - before
    return float(loss / weight)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))

"""`python -m tests.training.first_steps BACKEND FOLDER FORM...` trains a small network of each form, a step at a time.

Into FOLDER go, for each of `FORMS`, the losses of 20 steps, the weights before and after them, and the weights of a training
that was stopped after half of them and went on in another trainer; for the form float16 what it does to a step that is too
large for it.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np

from chargen.corpus.corpus import load_corpus
from chargen.corpus.examples import load_examples
from chargen.settings.layers import resolve
from chargen.training.classifying.plan import make_classifier_plan
from chargen.training.devices.backend import load_backend
from chargen.training.devices.ranks import ALONE, Ranks
from chargen.training.planning import memory
from chargen.training.planning.text_plan import make_plan

STEPS = 20
SIZES = {"hidden_size": 7, "embedding_size": 5}
DROPPED = {"dropout": 0.3, "input_dropout": 0.1, "locked_dropout": True, "weight_drop": 0.3}
STREAM = {"stateful": True, "jitter": True, "optimizer": "adamw", "schedule": "cosine", "warmup_epochs": 0.5, "epochs": 2}

# Each: settings of the network, settings of the training.
FORMS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "lstm": ({"cell": "lstm", "num_layers": 2, "recurrent_dropout": 0.2} | DROPPED, STREAM),
    "gru": ({"cell": "gru", "num_layers": 2, "layer_norm": True, "recurrent_dropout": 0.3}, {"optimizer": "rmsprop"}),
    "mlstm": (
        {"cell": "mlstm", "num_layers": 2, "dropout": 0.2, "weight_drop": 0.2, "recurrent_dropout": 0.2},
        {"optimizer": "muon"},
    ),
    "simplernn": ({"cell": "simplernn", "activation": "relu", "embedding_size": 0, "targets": "last"}, {"clip_value": 0.01}),
    "classifier": ({"cell": "gru", "embedding_norm": "batch"}, {"task": "classify", "optimizer": "adagrad"}),
}
HALF = ({"cell": "lstm"}, {"precision": "mixed_float16", "stateful": True, "schedule": "cosine"})
TOO_LARGE = 2.0**20  # a scale of the loss


def make_trainer(form: str, backend: str, folder: Path, ranks: Ranks = ALONE) -> Any:
    """Return a fresh trainer of a form."""
    from chargen.training.classifying.model import classifier_trainer
    from chargen.training.keras_trainer import text_trainer

    network, training = HALF if form == "float16" else FORMS[form]
    clipping = {"clip_norm": 0.0} if "clip_value" in training else {}
    classify = training.get("task") == "classify"
    file = folder / ("reviews.csv" if classify else "prose.txt")
    sections = {
        "corpus": {"files": [str(file)]},
        "network": SIZES | network,
        "training": {"batch_size": 4, "context_length": 9, "backend": backend} | clipping | training,
    }
    settings = resolve(("test", sections)).settings
    if classify:
        return classifier_trainer(make_classifier_plan(settings, load_examples(settings.corpus)))
    corpus = load_corpus(settings.corpus, stateful=settings.training.stateful)
    return text_trainer(make_plan(settings, corpus), ranks)


def losses(trainer: Any, first: int, last: int) -> list[float]:
    """Take the steps from `first` on up to `last`; return the loss of each."""
    found = []
    for step in range(first, last):
        before = trainer.state()["figures"]
        trainer.train(0, step)
        loss, *_, weight = trainer.state()["figures"] - before
        found.append(loss / weight)
    return found


def half_precision(trainer: Any) -> dict[str, Any]:
    """Return the output's weights before a step that overflows, after it, and after one that does not; and the scale then."""
    optimizer, found = trainer._engine.optimizer, {}
    trainer.begin_epoch()
    for step, (name, scale) in enumerate({"overflown": TOO_LARGE, "taken": 1.0}.items()):
        found[f"before.{name}"] = trainer.network().weights["output.kernel"]
        optimizer.dynamic_scale.assign(scale)
        found[f"loss.{name}"] = losses(trainer, step, step + 1)
        found[f"after.{name}"] = trainer.network().weights["output.kernel"]
        found[f"scale.{name}"] = np.array(optimizer.dynamic_scale)
        found[f"steps.{name}"] = np.array(optimizer.iterations)
    return found


def main(backend: str, folder: Path, *forms: str) -> None:
    """Train networks of some forms."""
    memory.WORK_PER_EXECUTION = 1.0  # a step at a time
    load_backend(backend)
    for form in forms:
        if form == "float16":
            np.savez(folder / f"{backend}-{form}.npz", **half_precision(make_trainer(form, backend, folder)))
            continue
        trainer, other = make_trainer(form, backend, folder), make_trainer(form, backend, folder)
        arrays = {f"before.{name}": weight for name, weight in trainer.network().weights.items()}
        trainer.begin_epoch()
        half = losses(trainer, 0, STEPS // 2)
        other.restore(trainer.state())
        arrays["losses"] = np.array(half + losses(trainer, STEPS // 2, STEPS))
        losses(other, STEPS // 2, STEPS)
        arrays |= {f"after.{name}": weight for name, weight in trainer.network().weights.items()}
        arrays |= {f"resumed.{name}": weight for name, weight in other.network().weights.items()}
        np.savez(folder / f"{backend}-{form}.npz", **arrays)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), *sys.argv[3:])

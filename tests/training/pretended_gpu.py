"""`python -m tests.training.pretended_gpu BACKEND FOLDER` builds training steps as they would be built on a GPU, and runs none.

Prints JSON: for each form, whether the step, forward and backward, is one of cuDNN's recurrent kernels. With the argument
"weights" after them, for PyTorch: whether in each of several steps an LSTM hands all weights to the kernel in one piece.
"""

import json
import sys
from pathlib import Path
from typing import Any
from unittest import mock

from chargen.corpus.corpus import load_corpus
from chargen.settings.layers import resolve
from chargen.settings.schema import Settings
from chargen.training.devices import backend as devices
from chargen.training.planning.text_plan import make_plan

DROPPED = {"dropout": 0.3, "input_dropout": 0.1, "locked_dropout": True, "weight_drop": 0.3}
STREAM = {"stateful": True, "jitter": True}
HALF, BRAIN = {"precision": "mixed_float16"}, {"precision": "mixed_bfloat16"}

# Each: settings of the network, settings of the training.
FORMS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "lstm": ({"cell": "lstm"}, {}),
    "gru": ({"cell": "gru"}, {}),
    "lstm, all that is dropped, stateful": ({"cell": "lstm"} | DROPPED, STREAM),
    "gru, all that is dropped, stateful": ({"cell": "gru", "num_layers": 2, "layer_norm": True} | DROPPED, STREAM),
    "lstm, recurrent dropout": ({"cell": "lstm", "recurrent_dropout": 0.1}, {}),
    "gru, reset before": ({"cell": "gru", "reset_after": False}, {}),
    "lstm, float16": ({"cell": "lstm"}, HALF),
    "gru, float16": ({"cell": "gru"}, HALF),
    "lstm, bfloat16": ({"cell": "lstm"}, BRAIN),
    "gru, bfloat16": ({"cell": "gru"}, BRAIN),
}


def settings_of(form: str, backend: str, folder: Path) -> Settings:
    """Return the settings of a form."""
    network, training = FORMS[form]
    sections = {
        "corpus": {"files": [str(folder / "prose.txt")]},
        "network": {"hidden_size": 7, "embedding_size": 5} | network,
        "training": {"batch_size": 4, "context_length": 9, "backend": backend} | training,
    }
    return resolve(("test", sections)).settings


def _engine(settings: Settings) -> Any:
    from chargen.training.keras_trainer import text_trainer

    trainer = text_trainer(make_plan(settings, load_corpus(settings.corpus, stateful=settings.training.stateful)))
    return trainer._engine, trainer._training.take(0, 0)


def _on_tensorflow(settings: Settings) -> bool:
    with mock.patch("keras.src.backend.tensorflow.rnn._is_gpu_available", return_value=True):
        engine, _ = _engine(settings)
        graph = engine._train.get_concrete_function().graph.as_graph_def()
    found = {node.op for function in graph.library.function for node in function.node_def}
    return {"CudnnRNNV3", "CudnnRNNBackpropV3"} <= found


def _on_jax(settings: Settings) -> bool:
    from jax.experimental import rnn

    from chargen.training.engines.jax_engine import STACKED_ROWS

    sizes = mock.Mock(compute_rnn_workspace_reserve_space_sizes=lambda *_: (3, 5))
    with mock.patch("keras.src.backend.jax.rnn._is_gpu_available", return_value=True), mock.patch.object(rnn, "gpu_rnn", sizes):
        engine, batches = _engine(settings)
        rows = [engine._placed(one, STACKED_ROWS) for one in batches]
        step = str(engine._train.trace(engine._carried(), *rows, len(batches.inputs)).jaxpr)
    return "rnn_fwd" in step and "rnn_bwd" in step


def _on_torch(settings: Settings) -> bool:
    """PyTorch chooses the kernel as it runs: one of cuDNN on a GPU that takes the type. Here it has to get as far as that."""
    import torch

    with torch.autograd.profiler.profile() as profile:
        engine, batches = _engine(settings)
        engine.train(type(batches)(*(one[:1] for one in batches)))
    return any(event.name == f"aten::{settings.network.cell}" for event in profile.function_events)


def _in_one_piece(settings: Settings) -> bool:
    import torch

    kernel, pieces = torch.lstm, []

    def recorded(*given: Any) -> Any:
        weights = given[2]
        total = sum(one.numel() for one in weights) * weights[0].element_size()
        pieces.append({one.untyped_storage().data_ptr() for one in weights} if _fills_storage(weights, total) else None)
        return kernel(*given)

    with mock.patch.object(torch, "lstm", recorded):
        engine, batches = _engine(settings)
        for _ in range(3):
            engine.train(type(batches)(*(one[:1] for one in batches)))
        for variable in engine.model.trainable_variables:
            variable.assign(variable.value.detach() + 1)  # as a checkpoint is restored
        engine.test(batches)
    return len(pieces) > 3 and all(one is not None and one == pieces[0] and len(one) == 1 for one in pieces)


def _fills_storage(weights: Any, total: int) -> bool:
    return all(one.is_contiguous() and one.untyped_storage().nbytes() == total for one in weights)


def main(backend: str, folder: Path, what: str = "kernels") -> None:
    """Look at every form, or at those of an LSTM."""
    devices.load_backend(backend)
    on = {"tensorflow": _on_tensorflow, "jax": _on_jax, "torch": _on_torch}[backend]
    if what == "weights":
        on = _in_one_piece
    with mock.patch.object(devices, "gpu_name", return_value="a GPU"):
        forms = [form for form in FORMS if what == "kernels" or FORMS[form][0]["cell"] == "lstm"]
        print(json.dumps({form: on(settings_of(form, backend, folder)) for form in forms}))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), *sys.argv[3:])

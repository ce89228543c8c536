"""Train the same network with the processes that the environment names, a step at a time.

`python -m benchmarks.together TEXT UNITS STEPS` prints, in the first process, a JSON object: the mean loss of the steps, the
milliseconds of each, and the share of the time in which gradients are added up over the devices, which includes the wait for
the last device. JAX's profiler measures this share in a few more steps.
"""

import json
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from chargen.corpus.corpus import load_corpus
from chargen.settings.layers import resolve
from chargen.training.devices.distribution import joined
from chargen.training.devices.ranks import Ranks
from chargen.training.planning import memory
from chargen.training.planning.text_plan import make_plan

BATCH_SIZE, CONTEXT_LENGTH, PROFILED_STEPS = 64, 64, 5
COLLECTIVES = ("all-reduce", "psum")  # begin the names of operations that add up over devices


def main(text: Path, units: int, steps: int) -> None:
    """Take the steps, and print the figures."""
    memory.WORK_PER_EXECUTION = 1.0  # a step at a time
    with joined(BATCH_SIZE) as ranks:
        trainer = _trainer(text, units, ranks)
        trainer.prepare()
        trainer.begin_epoch()
        milliseconds = [1000 * _seconds(trainer, step) for step in range(steps)]
        loss = trainer.figures()["cross_entropy"]
        share = _collective_share(trainer, range(steps, steps + PROFILED_STEPS))
    if ranks.leads:
        print(json.dumps({"loss": loss, "milliseconds": milliseconds, "collective_share": share}))


def _seconds(trainer: Any, step: int) -> float:
    began = time.perf_counter()
    trainer.train(0, step)
    return time.perf_counter() - began


def _trainer(text: Path, units: int, ranks: Ranks) -> Any:
    """Return a trainer of an LSTM. Its dropout is the same however the batch is shared."""
    from chargen.training.keras_trainer import text_trainer

    sections = {
        "corpus": {"files": [str(text)]},
        "network": {"hidden_size": units, "dropout": 0.2},
        "training": {"batch_size": BATCH_SIZE, "context_length": CONTEXT_LENGTH, "backend": "jax"},
    }
    settings = resolve(("benchmark", sections)).settings
    return text_trainer(make_plan(settings, load_corpus(settings.corpus)), ranks)


def _collective_share(trainer: Any, steps: Iterable[int]) -> float:
    """Return the share of the time of some steps that the devices of this process spend on adding up."""
    import jax

    with tempfile.TemporaryDirectory() as folder:
        options = jax.profiler.ProfileOptions()
        options.python_tracer_level = 0
        jax.profiler.start_trace(folder, profiler_options=options)
        seconds = sum(_seconds(trainer, step) for step in steps)
        jax.profiler.stop_trace()
        (trace,) = Path(folder).rglob("*.xplane.pb")
        profile = jax.profiler.ProfileData.from_file(str(trace))
    events = (event for plane in profile.planes for line in plane.lines for event in line.events)
    adding = sum(event.duration_ns for event in events if event.name.startswith(COLLECTIVES)) / 1e9
    return adding / (seconds * jax.local_device_count())


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))

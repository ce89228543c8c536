import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.classic import ClassicGenerator
from chargen.corpus.corpus import load_corpus
from chargen.corpus.holdout import split_documents
from chargen.settings.schema import CorpusConfig

NAMES = Path(__file__).parents[2] / "shared" / "data" / "male.txt"
RANDOM_SEED = 1  # chargen's default, so that both have the same validation split


def measure(*, epochs: int) -> list[dict[str, Any]]:
    """Measure the time of the classic program's epochs, and of chargen's default until the same validation loss.

    Both train on the same names and are measured on the same others, in nats a character; the end of a name counts as one. The
    classic program's sample text is written after one epoch and its time counted for each.
    """
    source = str(NAMES) if NAMES.is_file() else "male.txt"
    config = CorpusConfig(files=(source,))
    training, held_out = split_documents(load_corpus(config), config, seed=RANDOM_SEED)
    classic = ClassicGenerator("".join(f"{name.text}\n" for name in training))
    train_seconds, sample_seconds = classic.train(epochs), classic.sample() * epochs
    loss = classic.cross_entropy("".join(f"{name.text}\n" for name in held_out))
    seconds, reached = _seconds_to_reach(loss, source)
    classic_seconds = train_seconds + sample_seconds
    return [
        _row(f"classic program, {epochs} epochs: validation {loss:.3f} nats", classic_seconds),
        _row(f"  of it training, without its sample text: {train_seconds / classic_seconds:.0%}", train_seconds),
        _row(f"chargen train, whole process, to validation {reached:.3f} nats", seconds)
        | {"chargen_is_faster_by": classic_seconds / seconds},
    ]


def _seconds_to_reach(loss: float, source: str) -> tuple[float, float]:
    """Run `chargen train`; return the time when its validation loss first reached a value, and the loss."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        command = [sys.executable, "-m", "chargen", "train", source]
        process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        assert process.stderr is not None
        try:
            for line in process.stderr:
                found = re.search(r"validation (\d+\.\d+)", line)
                if found and float(found[1]) <= loss:
                    return time.perf_counter() - began, float(found[1])
        finally:
            process.terminate()
            process.communicate()
    raise RuntimeError(f"chargen did not reach a validation loss of {loss:.3f} nats")


def _row(what: str, seconds: float) -> dict[str, Any]:
    return {"what": what, "unit": "s", "median": seconds, "min": seconds, "max": seconds}

"""Train for some minutes with the defaults and measure the text's last tenth: `... SECONDS BACKEND MINUTES FILE`."""

import sys
import tempfile
from pathlib import Path

from benchmarks.commands import Trained, evaluate, split_tail, train
from benchmarks.on_gpu.telling import tell
from benchmarks.quality import HELD_OUT


def main(backend: str, minutes: float, corpus: Path) -> None:
    """Print the nats a character by both protocols."""
    with tempfile.TemporaryDirectory() as name:
        split = split_tail(corpus.stem, Path(name), texts=corpus.parent)
        options = ("--minutes", minutes, "--backend", backend, *HELD_OUT, "--random-seed", 1)
        run, seconds = train(split.training, *options, folder=Path(name))
        for protocol, nats in evaluate(Trained(run, seconds).model, text=split.test).items():
            tell(backend=backend, text=corpus.stem, minutes=minutes, protocol=protocol, nats=nats, seconds=seconds)


if __name__ == "__main__":
    main(sys.argv[2], float(sys.argv[3]), Path(sys.argv[4]))

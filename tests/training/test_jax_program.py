"""The program that JAX compiles for several steps loops on the device, reuses memory, and needs nothing from the host."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(find_spec("jax") is None, reason="jax is not installed: make test-backends installs it")

LAYERS = 2
LOWER = """
import json, re, sys
from pathlib import Path
from chargen.training.devices.backend import load_backend
load_backend("jax")
import jax
from chargen.training.engines.jax_engine import STACKED_ROWS
from tests.training.first_steps import make_trainer

trainer = make_trainer("gru", "jax", Path(sys.argv[1]))
engine, steps = trainer._engine, trainer._steps
carried, batches = engine._carried(), trainer._plan.training.batches(0, 0, steps)
lowered = engine._train.lower(carried, *[engine._placed(one, STACKED_ROWS) for one in batches], steps)
program, compiled = lowered.as_text(), lowered.compile().as_text()
print(json.dumps({
    "steps": steps,
    "loops": program.count("stablehlo.while"),
    "carried": len(jax.tree.leaves(carried)),
    "reused": len(re.findall(r"(?:may|must)-alias", compiled.splitlines()[0])),
    "calls": re.findall(r"custom_call @([^(]+)", program),
    "host": re.findall(r"stablehlo\\.(?:infeed|outfeed|send|recv)", program),
}))
"""


def test_an_execution_is_one_program_without_the_host(prose: Path) -> None:
    """A GRU's own loops, as on a GPU, where JAX has cuDNN for LSTMs only, and no C code."""
    command = [sys.executable, "-c", LOWER, str(prose.parent)]
    environment = os.environ | {"CHARGEN_NATIVE": "0"}
    done = subprocess.run(command, cwd=Path(__file__).parents[2], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["steps"] > 1
    assert found["loops"] == 1 + 2 * LAYERS  # over the steps; over the time of each layer, forwards and backwards
    assert found["reused"] == found["carried"] > 20
    assert (found["calls"], found["host"]) == ([], [])

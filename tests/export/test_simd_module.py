"""The WebAssembly module of the page: its bytes, and what its functions compute, in node."""

import json
import shutil
import subprocess
from base64 import b64encode
from hashlib import sha256
from typing import Any

import numpy as np
import pytest

from chargen.export.simd_module import BLOCK, assemble

NODE = shutil.which("node")
PROGRAM = """
const memory = new WebAssembly.Memory({ initial: 10 });
const module = new WebAssembly.Module(Buffer.from(given.module, "base64"));
const { product, squash } = new WebAssembly.Instance(module, { page: { memory } }).exports;
const place = (values, start) => {
  new Float32Array(memory.buffer, start).set(values);
  return start;
};
const numbers = (start, count) => Array.from(new Float32Array(memory.buffer, start, count), String);
place(given.weights, 256);
place(given.inputs, 100004);
place(given.sums, 200000);
product(256, given.inputs.length, given.sums.length / 16, 100004, 200000);
const squashed = [1, 2].map((steepness) => {
  squash(place(given.values.map(Number), 300000), given.values.length, steepness);
  return numbers(300000, given.values.length + 1);
});
console.log(JSON.stringify({ sums: numbers(200000, given.sums.length + 1), squashed }));
"""


def run(**given: Any) -> dict[str, Any]:
    assert NODE is not None
    program = f"const given = {json.dumps(given)};\n{PROGRAM}"
    done = subprocess.run([NODE, "-"], input=program, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_the_module_is_the_same_everywhere() -> None:
    assert sha256(assemble()).hexdigest() == "f1281210bccaf16664d87950f12f23ce9da146050b962029e0d4ac2fc0d84c3e"


@pytest.mark.skipif(NODE is None, reason="node is not installed")
def test_its_functions_compute_products_and_activations() -> None:
    rng = np.random.default_rng(1)
    rows, columns = 7, 3 * BLOCK
    weights, inputs, sums = (rng.normal(size=shape).astype(np.float32) for shape in ((rows, columns), rows, columns))
    blocks = weights.reshape(rows, -1, BLOCK).transpose(1, 0, 2)
    values = np.concatenate([np.linspace(-20, 20, 3998), [-1e30, 1e30]]).astype(np.float32)
    found = run(
        module=b64encode(assemble()).decode("ascii"),
        weights=blocks.ravel().tolist(),
        inputs=inputs.tolist(),
        sums=sums.tolist(),
        values=values.tolist(),
    )
    np.testing.assert_allclose(np.array(found["sums"][:-1], float), sums + inputs @ weights, atol=1e-5)
    doubles = values.astype(np.float64)
    with np.errstate(over="ignore"):
        expected = 1 / (1 + np.exp(-doubles)), np.tanh(doubles)
    for one, other in zip(found["squashed"], expected, strict=True):
        np.testing.assert_allclose(np.array(one[:-1], float), other, atol=2e-7)
        assert one[-1] == "0"  # nothing is written beyond
    assert found["sums"][-1] == "0"


@pytest.mark.skipif(NODE is None, reason="node is not installed")
def test_what_is_not_a_number_stays_so() -> None:
    nothing: dict[str, Any] = {"weights": [], "inputs": [0], "sums": [0] * BLOCK}
    module = b64encode(assemble()).decode("ascii")
    found = run(module=module, values=["NaN", "0", "Infinity", "-Infinity"], **nothing)
    assert found["squashed"][0][:4] == ["NaN", "0.5", "1", found["squashed"][0][3]]
    assert float(found["squashed"][0][3]) < 1e-30

"""The exported page reads windows, and mixes n-grams, like the NumPy network; run by node, without a browser."""

import json
import shutil
import subprocess
from typing import Any

import numpy as np
import pytest

from chargen.corpus.vocabulary import CharacterVocabulary
from chargen.export.contents import describe, packed
from chargen.export.single_page import ENGINE, FOLDER, page_memory
from chargen.network.model_file import TextModel
from chargen.settings.schema import NetworkConfig
from chargen.writing.prediction import begin
from tests.export.forms import E, H, make_model, with_memory

NODE = shutil.which("node")
# Reads a prompt and more tokens with the page's code, and prints the logits after each.
READ = """
%s
const engine = makeEngine(JSON.parse(given.model), given.weights);
const logits = () => Array.from(engine.reader.logits);
for (const _ of engine.read(given.label, given.prompt, given.prompt.length));
const rows = [logits()];
for (const id of given.after) {
  engine.reader.step(id);
  rows.push(logits());
}
for (const _ of engine.read(given.label, given.prompt, given.prompt.length));
rows.push(logits());
console.log(JSON.stringify(rows));
"""


def read_in_node(model: TextModel, prompt: list[int], after: list[int], label: str = "") -> list[list[float]]:
    from base64 import b64encode

    memory = page_memory(model)
    described = json.dumps(describe(model, "float32") | memory)
    given = {"model": described, "weights": b64encode(packed(model, "float32")).decode(), "label": label}
    given_json: dict[str, Any] = {**given, "prompt": prompt, "after": after}
    scripts = [(FOLDER / name).read_text(encoding="ascii") for name in ENGINE if name != "worker.js"]
    program = f"const given = {json.dumps(given_json)};\n" + READ % "\n".join(scripts)
    assert NODE is not None
    done = subprocess.run([NODE, "-"], input=program, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    rows: list[list[float]] = json.loads(done.stdout)
    return rows


@pytest.mark.skipif(NODE is None, reason="node is not installed")
@pytest.mark.parametrize("carried", [False, True])
@pytest.mark.parametrize("labels", [(), ("x", "y")])
@pytest.mark.parametrize("prompt", [[], [1], [1, 2, 3, 2, 1, 2, 3, 1, 1]])
@pytest.mark.parametrize("remembers", ["nothing", "n-grams", "lines"])
def test_logits_are_those_of_the_network(prompt: list[int], labels: tuple[str, ...], carried: bool, remembers: str) -> None:
    primer = (0,) * 4 if labels or remembers == "lines" else (3, 2, 1, 2)
    model = make_model(
        NetworkConfig(hidden_size=H, embedding_size=E, num_layers=2),
        vocabulary=CharacterVocabulary("abc", labels),
        context_length=4,
        primer=primer,
        carried=carried,
    )
    model = with_memory(model, knows_lines=remembers == "lines") if remembers != "nothing" else model
    label = labels[1] if labels else ""
    after = [2, 3, 1, 1, 0, 2, 0, 3, 3, 0, 1]
    found = read_in_node(model, prompt, after, label)
    reading = model.with_label(label) if label else model
    logits, predictor = begin(reading, np.array(prompt, np.intp), 1)
    first = logits[0].copy()
    expected = [first, *[predictor.step(np.array([token]))[0].copy() for token in after], first]
    if remembers != "nothing":  # these are logarithms of probabilities
        np.testing.assert_allclose(np.exp(found), np.exp(expected), atol=1e-5)
    np.testing.assert_allclose(found, expected, atol=1e-4)

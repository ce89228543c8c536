"""Export a network to ONNX: build the graph node by node from ONNX's recurrent operators.

ONNX has its own gate orders: input, output, forget, cell for LSTM and update, reset, candidate for GRU. Its weights are
transposed, (gates * H, D). A multiplicative LSTM, which ONNX does not have, is a graph of one step within a Scan operator.
"""

from typing import Any

import numpy as np

from chargen.errors import ConfigError
from chargen.export.contents import Precision, describe, stored
from chargen.inline import ascii_json
from chargen.network.cells import Cell, Floats
from chargen.network.model_file import TextModel
from chargen.network.network import Network

OPSET = 17  # the first version with LayerNormalization
IR_VERSION = 8
EPSILON = 1e-3

OPERATORS = {"lstm": "LSTM", "gru": "GRU", "simplernn": "RNN", "dense": "RNN"}
GATES = {"lstm": [0, 3, 1, 2], "gru": [0, 1, 2], "simplernn": [0], "dense": [0]}  # our gates, in ONNX's order


def make_onnx(model: TextModel, precision: Precision) -> bytes:
    """Return an ONNX file of a model, with its description under "chargen" in the metadata.

    Inputs: `ids`, (B, T), and for each layer `hidden.<layer>`, and for an LSTM `cell.<layer>`, (B, H), initially zeros.
    Outputs: float32 `logits`, (B, T, V), or (B, V) with targets "last", and the states as `next_hidden.<layer>` and
    `next_cell.<layer>`. Raises ConfigError without the onnx library, and the errors of `stored`.
    """
    try:
        import onnx
    except ImportError:
        raise ConfigError("--format onnx needs the onnx library", hint="pip install 'chargen[onnx]'") from None
    graph = _Graph(model.one_network, precision)
    graph.build()
    built = onnx.helper.make_model(
        graph.finished(),
        producer_name="chargen",
        ir_version=IR_VERSION,
        opset_imports=[onnx.helper.make_opsetid("", OPSET)],
    )
    onnx.helper.set_model_props(built, {"chargen": ascii_json(describe(model, precision))})
    onnx.checker.check_model(built, full_check=True)
    content: bytes = built.SerializeToString(deterministic=True)
    return content


class _Graph:
    """The nodes and weights of a network.

    Values are referred to by name. B is the batch, T the time, which is the first axis.
    """

    def __init__(self, network: Network, precision: Precision) -> None:
        from onnx import TensorProto, helper

        self._network, self._precision, self._helper = network, precision, helper
        self._float, self._int = TensorProto.FLOAT, TensorProto.INT64
        self._nodes: list[Any] = []
        self._weights: list[Any] = []
        self._inputs = [self._value("ids", self._int, ["B", "T"])]
        self._outputs: list[Any] = []

    def finished(self) -> Any:
        """Return the complete graph."""
        return self._helper.make_graph(self._nodes, "chargen", self._inputs, self._outputs, self._weights)

    def build(self) -> None:
        """Add all layers to the graph."""
        network, config = self._network, self._network.config
        values = self._read()  # (T, B, D)
        for layer, cell in enumerate(network.cells):
            if layer and config.layer_norm:
                scale = [self._weight(f"norm.{layer - 1}.{name}") for name in ("gamma", "beta")]
                values = self._node("LayerNormalization", [values, *scale], axis=-1, epsilon=EPSILON)
            values = self._recurrent(layer, cell, values)
        if config.targets == "last":
            values = self._node("Gather", [values, self._constant("last", np.array(-1))], axis=0)  # (B, H)
        else:
            values = self._node("Transpose", [values], perm=[1, 0, 2])  # (B, T, H)
        if config.dense_size:
            values = self._node("Relu", [self._dense("dense", values)])
        axes = ["B", network.vocab_size] if config.targets == "last" else ["B", "T", network.vocab_size]
        self._node("Identity", [self._dense("output", values)], output="logits")
        self._outputs.insert(0, self._value("logits", self._float, axes))

    def _read(self) -> str:
        ids = self._node("Transpose", ["ids"], perm=[1, 0])  # (T, B)
        if self._network.config.embedding_size:
            return self._node("Gather", [self._store("embedding", self._network.embedding), ids], axis=0)
        depth = self._constant("vocab_size", np.array(self._network.vocab_size))
        off_and_on = self._constant("off_and_on", np.array([0, 1], np.float32))
        return self._node("OneHot", [ids, depth, off_and_on], axis=-1)

    def _recurrent(self, layer: int, cell: Cell[Any], values: str) -> str:
        """Add a recurrent layer over (T, B, D) and return the name of its outputs, (T, B, H)."""
        config = self._network.config
        states = [f"{name}.{layer}" for name in cell.state_type._fields]
        self._inputs += [self._value(state, self._float, ["B", config.hidden_size]) for state in states]
        self._outputs += [self._value(f"next_{state}", self._float, ["B", config.hidden_size]) for state in states]
        if config.cell == "mlstm":
            return self._scan(layer, values, states)
        first = self._constant("first_axis", np.array([0]))
        inputs = [values, *self._kernels(layer, cell), ""]  # no sequence lengths: all rows have T steps
        inputs += [self._node("Unsqueeze", [state, first]) for state in states]
        outputs = [self._fresh("outputs"), *[self._fresh(state) for state in states]]
        self._nodes.append(self._helper.make_node(OPERATORS[config.cell], inputs, outputs, **self._attributes()))
        for state, after in zip(states, outputs[1:], strict=True):
            self._node("Squeeze", [after, first], output=f"next_{state}")
        return self._node("Squeeze", [outputs[0], self._constant("direction_axis", np.array([1]))])

    def _scan(self, layer: int, values: str, states: list[str]) -> str:
        """Add a multiplicative LSTM over (T, B, D) and return the name of its outputs, (T, B, H)."""
        projected = self._dense(f"recurrent.{layer}", values)  # (T, B, 5H)
        of_gates, of_factor = self._split(self._weight(f"recurrent.{layer}.recurrent_kernel"), [4, 1])
        outside, self._nodes = self._nodes, []
        before = [f"before_{state}" for state in states]
        row, after, output = f"projected.{layer}", [f"after_{state}" for state in states], f"output.{layer}"
        gates, factor = self._split(row, [4, 1])
        multiplied = self._node("Mul", [factor, self._node("MatMul", [before[0], of_factor], within=row)], within=row)
        sums = self._node("Add", [gates, self._node("MatMul", [multiplied, of_gates], within=row)], within=row)
        write, forget, candidate, read = self._split(sums, [1, 1, 1, 1])
        opened = [self._node("Sigmoid", [one], within=row) for one in (write, forget, read)]
        written = self._node("Mul", [opened[0], self._node("Tanh", [candidate], within=row)], within=row)
        kept = self._node("Mul", [opened[1], before[1]], within=row)
        self._node("Add", [kept, written], output=after[1])
        self._node("Mul", [opened[2], self._node("Tanh", [after[1]], within=row)], output=after[0])
        self._node("Identity", [after[0]], output=output)
        H = self._network.config.hidden_size
        given = [
            self._value(name, self._float, ["B", width]) for name, width in zip([*before, row], (H, H, 5 * H), strict=True)
        ]
        made = [self._value(name, self._float, ["B", H]) for name in (*after, output)]
        step = self._helper.make_graph(self._nodes, f"step.{layer}", given, made)
        self._nodes = outside
        outputs = [*[f"next_{state}" for state in states], self._fresh("outputs")]
        self._nodes.append(self._helper.make_node("Scan", [*states, projected], outputs, body=step, num_scan_inputs=1))
        return outputs[-1]

    def _split(self, values: str, parts: list[int]) -> list[str]:
        """Split the last axis into parts of so many hidden sizes, and return their names."""
        sizes = np.array(parts) * self._network.config.hidden_size
        split = self._constant(f"sizes_{'_'.join(map(str, parts))}", sizes)
        names = [f"{values}.part_{number}" for number in range(len(parts))]
        self._nodes.append(self._helper.make_node("Split", [values, split], names, axis=1))
        return names

    def _attributes(self) -> dict[str, Any]:
        config = self._network.config
        attributes: dict[str, Any] = {"hidden_size": config.hidden_size}
        if config.cell == "gru":
            attributes["linear_before_reset"] = int(config.reset_after)
        if OPERATORS[config.cell] == "RNN":
            attributes["activations"] = [config.activation.capitalize()]
        return attributes

    def _kernels(self, layer: int, cell: Cell[Any]) -> list[str]:
        """Store a layer's kernel, recurrent kernel and biases, with a first axis for the single direction."""
        H, order = cell.hidden_size, GATES[self._network.config.cell]
        columns = np.concatenate([np.arange(gate * H, (gate + 1) * H) for gate in order])
        recurrent_bias = cell.bias[1] if cell.bias.ndim == 2 else np.zeros_like(cell.bias)
        bias = np.concatenate([cell.input_bias[columns], recurrent_bias[columns]])
        arrays = (cell.kernel[:, columns].T, cell.recurrent_kernel[:, columns].T, bias)
        names = ("kernel", "recurrent_kernel", "bias")
        return [self._store(f"recurrent.{layer}.{name}", one[None]) for name, one in zip(names, arrays, strict=True)]

    def _dense(self, name: str, values: str) -> str:
        product = self._node("MatMul", [values, self._weight(f"{name}.kernel")])
        return self._node("Add", [product, self._weight(f"{name}.bias")])

    def _weight(self, name: str) -> str:
        return self._store(name, self._network.weights[name])

    def _store(self, name: str, weight: Floats) -> str:
        """Store a weight in the precision, and return the name of its float32 values."""
        numbers = stored(name, weight, self._precision)
        kept = self._constant(name, numbers)
        return kept if numbers.dtype == np.float32 else self._node("Cast", [kept], to=self._float)

    def _constant(self, name: str, array: Any) -> str:
        from onnx import numpy_helper

        if name not in {one.name for one in self._weights}:
            self._weights.append(numpy_helper.from_array(np.asarray(array, order="C"), name))
        return name

    def _node(self, operator: str, inputs: list[str], *, output: str | None = None, within: str = "", **attributes: Any) -> str:
        """Add a node and return the name of its output. within: what the names of a graph within this one begin with."""
        name = output or (f"{within}." if within else "") + self._fresh(operator.lower())
        self._nodes.append(self._helper.make_node(operator, inputs, [name], **attributes))
        return name

    def _fresh(self, kind: str) -> str:
        return f"{kind}_{len(self._nodes)}"

    def _value(self, name: str, kind: int, shape: list[Any]) -> Any:
        return self._helper.make_tensor_value_info(name, kind, shape)

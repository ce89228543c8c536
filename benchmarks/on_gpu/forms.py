"""The forms of a training that the GPU check compares with a CPU, and their order."""

from collections.abc import Iterator
from itertools import combinations, product
from typing import Any, NamedTuple

DROPOUT: dict[str, dict[str, Any]] = {
    "nothing dropped": {},
    "dropout": {"dropout": 0.3, "input_dropout": 0.1},
    "locked dropout": {"dropout": 0.3, "input_dropout": 0.1, "locked_dropout": True},
    "weight drop": {"weight_drop": 0.3},
    "recurrent dropout": {"recurrent_dropout": 0.2},
}
INPUTS = {"embedding": {"embedding_size": 24}, "one-hot": {"embedding_size": 0}}
SIZES = {"num_layers": 2, "hidden_size": 48}
WINDOWS = {"batch_size": 16, "context_length": 32}

# The largest allowed difference of a loss on the GPU from that on the CPU in float32, in nats. In "float32" TF32 is off; in
# "default" float32 is computed in the framework's default way.
LIMITS = {"float32": 1e-3, "default": 1e-2, "mixed_bfloat16": 2e-2, "mixed_float16": 1e-2}


class Form(NamedTuple):
    """A choice for each option; `str` gives its name, and `parse` reads the name."""

    cell: str
    state: str
    inputs: str
    dropout: str
    precision: str

    def __str__(self) -> str:
        return "/".join(self)

    @classmethod
    def parse(cls, name: str) -> "Form":
        """Return the form of a name."""
        return cls(*name.split("/"))

    @property
    def reference(self) -> "Form":
        """The form on the CPU to compare with."""
        return self._replace(precision="float32")

    def sections(self, text: str, backend: str) -> dict[str, dict[str, Any]]:
        """Return the settings of a training on a text file, by section."""
        precision = self.precision if self.precision.startswith("mixed") else "float32"
        return {
            "corpus": {"files": [text]},
            "network": {"cell": self.cell, **SIZES, **INPUTS[self.inputs], **DROPOUT[self.dropout]},
            "training": {"stateful": self.state == "stateful", "precision": precision, "backend": backend, **WINDOWS},
        }


def ordered_forms() -> list[Form]:
    """Return every form, ordered so that any first part of the list covers many pairs of two choices."""
    left = [Form(*one) for one in product(("lstm", "gru", "simplernn"), ("windows", "stateful"), INPUTS, DROPOUT, LIMITS)]
    ordered: list[Form] = []
    open_pairs: set[Any] = set()
    while left:
        open_pairs = open_pairs or {pair for form in left for pair in _pairs(form)}
        best = max(left, key=lambda form: len(open_pairs.intersection(_pairs(form))))  # the first of equals
        left.remove(best)
        open_pairs -= set(_pairs(best))
        ordered.append(best)
    return ordered


def _pairs(form: Form) -> Iterator[Any]:
    return combinations(enumerate(form), 2)

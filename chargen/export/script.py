"""Export a model as one Python program: the standalone module with the model inserted."""

import re
from base64 import b64encode
from pathlib import Path

from chargen.export.contents import Precision, describe, describe_memory, packed, packed_memory
from chargen.inline import ascii_json
from chargen.network.model_file import TextModel

PROGRAM = Path(__file__).parent / "standalone.py"
WIDTH = 120  # characters of a line of numbers


def make_script(model: TextModel, precision: Precision) -> str:
    """Return the source of a program that writes with a model, in ASCII. Raises the errors of `packed`."""
    held = {
        "MODEL": repr(ascii_json(describe(model, precision) | describe_memory(model))),
        "WEIGHTS": _literal(packed(model, precision)),
        "MEMORY": _literal(packed_memory(model)),
    }
    program = PROGRAM.read_text(encoding="utf-8")
    return re.sub(r'^(MODEL|WEIGHTS|MEMORY) = ""$', lambda found: f"{found[1]} = {held[found[1]]}", program, flags=re.MULTILINE)


def _literal(content: bytes) -> str:
    """Return a Python literal of bytes in base64."""
    return '"""\n' + "\n".join(re.findall(f".{{1,{WIDTH}}}", b64encode(content).decode("ascii"))) + '\n"""'

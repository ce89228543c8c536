"""Export a model as one Python program: the standalone module with the model inserted."""

import re
from base64 import b64encode
from pathlib import Path

from chargen.export.contents import Precision, describe, packed
from chargen.inline import ascii_json
from chargen.network.model_file import TextModel

PROGRAM = Path(__file__).parent / "standalone.py"
WIDTH = 120  # characters of a line of numbers


def make_script(model: TextModel, precision: Precision) -> str:
    """Return the source of a program that writes with a model, in ASCII. Raises the errors of `packed`."""
    numbers = b64encode(packed(model, precision)).decode("ascii")
    held = {
        "MODEL": repr(ascii_json(describe(model, precision))),
        "WEIGHTS": '"""\n' + "\n".join(re.findall(f".{{1,{WIDTH}}}", numbers)) + '\n"""',
    }
    program = PROGRAM.read_text(encoding="utf-8")
    return re.sub(r'^(MODEL|WEIGHTS) = ""$', lambda found: f"{found[1]} = {held[found[1]]}", program, flags=re.MULTILINE)

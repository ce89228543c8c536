"""Draw a training as it looks in a terminal, from a real run; use an idle machine, since the picture shows its speed."""

import io
import os
import pty
import re
import shlex
from fcntl import ioctl
from pathlib import Path
from struct import pack
from subprocess import Popen
from tempfile import TemporaryDirectory
from termios import TIOCSWINSZ

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.text import Text

PICTURE = Path(__file__).parent.parent / "docs" / "images" / "terminal.svg"
COMMAND = "chargen train male.txt --cell lstm --sample-every 4"
MOMENT = re.compile(r"epoch +9/20  loss [^\r]*")  # the picture ends with this line
ROWS, COLUMNS = 40, 134
ERASE_LINE = "\x1b[2K"


def record(command: str) -> str:
    """Run a command in a pseudo-terminal, in an empty folder, and return all of its output."""
    ours, its = pty.openpty()
    ioctl(its, TIOCSWINSZ, pack("HHHH", ROWS, COLUMNS, 0, 0))
    environment = os.environ | {"TERM": "xterm-256color", "TF_CPP_MIN_LOG_LEVEL": "3"}
    with TemporaryDirectory() as folder:
        with Popen(shlex.split(command), cwd=folder, env=environment, stdin=its, stdout=its, stderr=its):
            os.close(its)
            written = b""
            while piece := _read(ours):
                written += piece
        os.close(ours)
    return written.decode("utf-8")


def _read(terminal: int) -> bytes:
    """Read the new output; return b"" after the program has ended."""
    try:
        return os.read(terminal, 1 << 16)
    except OSError:
        return b""


def screen(recorded: str, moment: re.Pattern[str] = MOMENT) -> str:
    r"""Return the lines of the screen at the last match, each as last drawn.

    >>> screen("a\r\n\r\x1b[2K1/2 -\r\x1b[2K1/2 --\r\x1b[2Kdone\r\n", re.compile("1/2 -*"))
    'a\n1/2 --'
    """
    until = [found.end() for found in moment.finditer(recorded)][-1]
    lines = recorded[:until].split("\r\n")
    return "\n".join(line.rpartition(ERASE_LINE)[2].strip("\r") for line in lines)


def draw(command: str, lines: str) -> str:
    """Return an SVG picture of a terminal. It loads nothing, not even fonts."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    console.print(Text.from_ansi(f"$ {command}\n{lines}"))
    fontless = re.sub(r"@font-face \{\{.*?\}\}\s*", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
    return console.export_svg(title="chargen", code_format=fontless, unique_id="terminal")

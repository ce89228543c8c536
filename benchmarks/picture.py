"""Draw a training as it looks in a terminal, from a real run: docs/images/terminal.svg, the first picture of README."""

import io
import os
import pty
import re
import shlex
from fcntl import ioctl
from pathlib import Path
from struct import pack
from tempfile import TemporaryDirectory
from termios import TIOCSWINSZ

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.text import Text

PICTURE = Path(__file__).parent.parent / "docs" / "images" / "terminal.svg"
COMMAND = "chargen train male.txt --cell lstm --sample-every 4"
MOMENT = re.compile(r"epoch  9/20 [^\r]*")  # the last of these states of the progress bar is what is shown
ROWS, COLUMNS = 40, 132
ERASE_LINE = "\x1b[2K"


def record(command: str) -> str:
    """Run a command in a pseudo-terminal and return all that it wrote there."""
    with TemporaryDirectory() as folder:
        child, terminal = pty.fork()
        if child == 0:
            os.chdir(folder)
            os.environ.update(TERM="xterm-256color", TF_CPP_MIN_LOG_LEVEL="3")
            os.execvp(*_program(command))
        ioctl(terminal, TIOCSWINSZ, pack("HHHH", ROWS, COLUMNS, 0, 0))
        written = b""
        while piece := _read(terminal):
            written += piece
        os.waitpid(child, 0)
    return written.decode("utf-8")


def _program(command: str) -> tuple[str, list[str]]:
    name, *arguments = shlex.split(command)
    return name, [name, *arguments]


def _read(terminal: int) -> bytes:
    """Read what there is; nothing once the program has ended."""
    try:
        return os.read(terminal, 1 << 16)
    except OSError:
        return b""


def screen(recorded: str, moment: re.Pattern[str] = MOMENT) -> str:
    r"""Return the lines as they stand at the last moment that matches, each as it was last drawn.

    >>> screen("a\r\n\r\x1b[2K1/2 -\r\x1b[2K1/2 --\r\x1b[2Kdone\r\n", re.compile("1/2 -*"))
    'a\n1/2 --'
    """
    until = [found.end() for found in moment.finditer(recorded)][-1]
    lines = recorded[:until].split("\r\n")
    return "\n".join(line.rpartition(ERASE_LINE)[2].strip("\r") for line in lines)


def draw(command: str, lines: str) -> str:
    """Return an SVG picture that loads no fonts."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), legacy_windows=False)
    console.print(Text.from_ansi(f"$ {command}\n{lines}"), soft_wrap=False)
    plain = re.sub(r"@font-face \{\{.*?\}\}\s*", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
    return console.export_svg(title="chargen", code_format=plain, unique_id="terminal")


if __name__ == "__main__":
    PICTURE.write_text(draw(COMMAND, screen(record(COMMAND))), encoding="utf-8")

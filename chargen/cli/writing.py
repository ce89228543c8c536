"""Run a session of `chargen play`: the text, its history, the proposed continuations and the user's answers."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple, Protocol, TextIO

import click

from chargen.cli.options import Numbers, write_output
from chargen.errors import ChargenError, ConfigError
from chargen.settings.writing import SamplingOptions
from chargen.suggestions import most_similar
from chargen.terminal import echo

SHOWN = 1000  # characters of the text that are shown at each turn

HELP = """\
  a number        take that continuation
  other text      add it, including spaces; +TEXT adds TEXT even if it is a number or starts with /
  an empty line   new continuations, as /more
  /line           start a new line
  /undo           undo the last change
  /cut N          remove N characters from the end
  /change A => B  replace the last A by B
  /edit           open the text in your editor
  /temp T         change the temperature, or T,T,... in turn
  /text           show the whole text
  /save [FILE]    write the text to FILE, or to --output, and go on
  /help           this list
  /quit           quit, as Ctrl-D and Ctrl-C
"""


class Proposal(NamedTuple):
    """A continuation, and whether it ends the text."""

    text: str
    ends: bool


class Proposes(Protocol):
    """Propose continuations of a text."""

    def propose(self, text: str, sampling: SamplingOptions) -> list[Proposal]:
        """Return continuations of a text, or none if it has ended."""

    def unknown(self, text: str) -> str:
        """Return a line about what it cannot read in a text, or an empty text."""


class WritingSession:
    """Let a user and a network write a text in turns; every change can be undone.

    `propose` starts the session, `run` reads answers until its end, `answer` does one of them. Output goes to stderr.
    """

    def __init__(
        self,
        proposer: Proposes,
        *,
        text: str = "",
        sampling: SamplingOptions | None = None,
        output: Path | None = None,
        raw: bool = False,
    ) -> None:
        self.text = text
        self._raw = raw  # whether a terminal gets control characters as well
        self._proposer, self._sampling, self._output = proposer, sampling or SamplingOptions(), output
        self._past: list[str] = []
        self._proposals: list[Proposal] = []
        self._unknown = ""  # the last remark about unknown characters, which is printed once
        self._commands: dict[str, Callable[[str], None]] = {
            "/more": lambda _: None,
            "/line": lambda _: self._change_to(f"{self.text}\n"),
            "/undo": self._undo,
            "/cut": self._cut,
            "/change": self._replace,
            "/edit": self._edit,
            "/temp": self._warm,
            "/text": lambda _: self._say(self.text),
            "/save": self._save,
            "/help": lambda _: self._say(HELP.rstrip()),
        }

    def run(self, answers: TextIO) -> None:
        """Read answers until /quit or their end."""
        while True:
            echo("> ", end="", err=True)
            line = answers.readline()
            if not line:
                self._say("")  # end the line of ^D
                return
            if line.strip() == "/quit":
                return
            self.answer(line.rstrip("\r\n"))

    def answer(self, line: str) -> None:
        """Carry out one answer; an invalid one prints an error and changes nothing."""
        try:
            if self._takes(line):
                self.propose()
        except (ChargenError, click.ClickException) as error:
            hint = getattr(error, "hint", None)
            self._say(error.message + (f"; {hint}" if hint else ""))

    def propose(self) -> None:
        """Ask for continuations of the text, and show both."""
        self._proposals = self._proposer.propose(self.text, self._sampling)
        self._say("\n" + ("..." if len(self.text) > SHOWN else "") + self.text[-SHOWN:])
        unknown = self._proposer.unknown(self.text)
        if unknown not in ("", self._unknown):
            self._say(f"({unknown}; it is skipped)")
        self._unknown = unknown
        for number, one in enumerate(self._proposals, start=1):
            shown = one.text.replace("\n", "\\n")
            self._say(f"  {number}  {shown}{' (end)' if one.ends else ''}")
        if not self._proposals:
            self._say("  the network ends the text here")

    def _takes(self, line: str) -> bool:
        """Carry out an answer and return whether to propose new continuations."""
        before = self.text, self._sampling
        word, _, rest = line.partition(" ")
        if not line:
            return True
        if line.startswith("+"):
            self._change_to(self.text + line[1:])
        elif line.strip().isdecimal():
            self._choose(int(line))
        elif line.startswith("/"):
            self._command(word)(rest)
        else:
            self._change_to(self.text + line)
        return word == "/more" or before != (self.text, self._sampling)

    def _command(self, word: str) -> Callable[[str], None]:
        if word not in self._commands:
            close = most_similar(word, self._commands)
            raise ConfigError(f"unknown command {word}", hint=f"did you mean {close[0]}?" if close else "/help lists them")
        return self._commands[word]

    def _choose(self, number: int) -> None:
        if not 1 <= number <= len(self._proposals):
            raise ConfigError(f"no continuation {number}", hint=f"to add the number itself, type +{number}")
        self._change_to(self.text + self._proposals[number - 1].text)

    def _change_to(self, text: str) -> None:
        if text != self.text:
            self._past.append(self.text)
            self.text = text

    def _undo(self, _: str) -> None:
        if not self._past:
            raise ConfigError("nothing to undo")
        self.text = self._past.pop()

    def _cut(self, number: str) -> None:
        if not number.strip().isdecimal():
            raise ConfigError(f"/cut got {number!r}, expected a number of characters", hint="for example /cut 5")
        self._change_to(self.text[: max(len(self.text) - int(number), 0)])

    def _replace(self, change: str) -> None:
        old, arrow, new = change.partition("=>")
        old, new = old.strip(), new.strip()
        if not old or not arrow:
            raise ConfigError("/change expects a text and its replacement", hint="for example /change late => early")
        before, found, after = self.text.rpartition(old)
        if not found:
            raise ConfigError(f"the text does not contain {old!r}")
        self._change_to(before + new + after)

    def _edit(self, _: str) -> None:
        edited = click.edit(self.text)
        if edited is not None:  # editors add a newline at the end
            self._change_to(edited if self.text.endswith("\n") else edited.removesuffix("\n"))

    def _warm(self, temperatures: str) -> None:
        self._sampling = replace(self._sampling, temperature=Numbers(float).convert(temperatures, None, None), greedy=False)

    def _save(self, name: str) -> None:
        path = Path(name.strip()) if name.strip() else self._output
        if path is None:
            raise ConfigError("/save expects a file name", hint="for example /save story.txt")
        write_output(path, self.text if self.text.endswith("\n") else f"{self.text}\n")
        self._say(f"saved to {path}")

    def _say(self, line: str) -> None:
        echo(line, err=True, raw=self._raw)

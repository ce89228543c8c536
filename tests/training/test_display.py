import io

import pytest
from rich.console import Console

from chargen.training.planning.text_plan import CharacterConversion
from chargen.training.recording.display import Display
from chargen.training.recording.results import TextEpoch, TextOutcome
from chargen.training.recording.screens import ConsoleScreen

RESULT = TextEpoch(
    epoch=3,
    step=30,
    cross_entropy=2.0,
    validation_cross_entropy=1.386294,
    learning_rate=0.01,
    seconds=2.0,
    num_targets=5000,
    conversion=CharacterConversion(),
)


def shown(*, verbosity: int = 1, terminal: bool = False) -> str:
    stream = io.StringIO()
    display = Display(ConsoleScreen(Console(file=stream, force_terminal=terminal, width=200)), verbosity=verbosity)
    with display.running():
        display.epoch_begins(3, epochs=12, steps=10)
        if display.due():
            display.step(4, cross_entropy=2.125)
        display.epoch(RESULT.line(epochs=12, seconds_left=75))
        display.sample("[bold]Harold[/bold] :smile:")
    return stream.getvalue()


def test_an_epoch_is_one_plain_line() -> None:
    line, sample = shown().splitlines()
    assert line == "epoch  3/12  loss 2.000  validation 1.386  2.000 bits/char  2,500 chars/s  0:01:15 left"
    assert sample == "[bold]Harold[/bold] :smile:"


def test_a_terminal_gets_no_control_characters_and_a_file_gets_all() -> None:
    for terminal, expected in ((False, "a\x1b[2J\tb\u202e\rc\x07\n"), (True, "a       bc\n")):
        stream = io.StringIO()
        Display(ConsoleScreen(Console(file=stream, force_terminal=terminal, width=200))).note("a\x1b[2J\tb\u202e\rc\x07")
        assert stream.getvalue() == expected


def test_a_terminal_sees_a_bar() -> None:
    seen = shown(terminal=True)
    assert "4/10" in seen
    assert "loss 2.125" in seen
    assert "4/10" not in shown()


def waited(*, verbosity: int = 1, terminal: bool = True) -> tuple[str, str]:
    """Return what is shown while something is waited for, and after it."""
    stream = io.StringIO()
    display = Display(ConsoleScreen(Console(file=stream, force_terminal=terminal, width=200)), verbosity=verbosity)
    with display.waiting_for("loading tensorflow"):
        during = stream.getvalue()
    return during, stream.getvalue().removeprefix(during)


def test_a_terminal_sees_what_is_waited_for_and_no_trace_of_it_later() -> None:
    assert waited() == ("loading tensorflow ...\r", "\x1b[2K")
    assert waited(terminal=False) == waited(verbosity=0) == ("", "")


def test_quiet_shows_nothing() -> None:
    assert shown(verbosity=0) == shown(verbosity=0, terminal=True) == ""


def test_no_color_is_honoured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[3" not in shown(terminal=True)


def test_figures_of_a_result() -> None:
    assert RESULT.bits_per_character == pytest.approx(2.0, abs=1e-6)
    assert RESULT.characters_per_second == 2500
    unvalidated = TextEpoch(**{**RESULT.__dict__, "validation_cross_entropy": None})
    assert unvalidated.monitored == 2.0


def test_an_outcome_knows_its_best_epoch_and_exit_code() -> None:
    worse = TextEpoch(**{**RESULT.__dict__, "epoch": 4, "validation_cross_entropy": 1.5})
    done, stopped = TextOutcome(results=(RESULT, worse)), TextOutcome(results=(), interrupted_by=2)
    assert done.best is RESULT
    assert (done.exit_code, stopped.exit_code) == (0, 130)
    assert "epoch 3" in done.describe()
    assert stopped.summary() == {"epochs": 0, "best_epoch": None, "bits_per_character": None, "interrupted": True}

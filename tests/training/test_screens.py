"""Progress in a notebook: one output that is replaced, found without importing IPython where there is none."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from click.testing import Result

from chargen.training.recording.display import Display
from chargen.training.recording.screens import LINES_KEPT, ConsoleScreen, NotebookScreen, find_screen
from tests.training.test_display import RESULT

EPOCHS = 40


class Clock:
    """Time that passes when it is told to."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def shown() -> list[str]:
    return []


@pytest.fixture
def clock() -> Clock:
    return Clock()


def train(display: Display, clock: Clock, *, seconds: float, epochs: int = EPOCHS) -> None:
    """Do as a training does, with so many seconds an epoch."""
    display.note("male: 1,263 lines")
    with display.running():
        for epoch in range(1, epochs + 1):
            display.epoch_begins(epoch, epochs=epochs, steps=10)
            for step in range(1, 11):
                clock.now += seconds / 10
                display.step(step, cross_entropy=2.125)
            display.epoch(replace(RESULT, epoch=epoch).line(epochs=epochs, seconds_left=75))
            display.sample(f"----- after epoch {epoch}\nHarold \x1b[31m:smile:\n\n")
    display.note("best 2.000 bits/char")


def test_a_cell_holds_the_newest_of_everything(shown: list[str], clock: Clock) -> None:
    train(Display(NotebookScreen(shown.append, clock=clock)), clock, seconds=20)
    kept = [f"epoch {epoch:2}/40  loss 2.000" for epoch in range(EPOCHS - LINES_KEPT + 1, EPOCHS + 1)]
    assert [line[: len(kept[0])] for line in shown[-1].split("\n")] == [
        "male: 1,263 lines",
        f"({EPOCHS - LINES_KEPT} lines before)",
        *kept,
        "",
        "----- after epoch 40",
        "Harold :smile:",
        "",
        "best 2.000 bits/char",
    ]
    running = next(text for text in shown if "epoch 7/40  ███" in text).split("\n")
    assert [line[:10] for line in running[6:]] == ["epoch  6/4", "epoch 7/40", "", "----- afte", "Harold :sm"]


def test_the_bar_moves(shown: list[str], clock: Clock) -> None:
    screen = NotebookScreen(shown.append, clock=clock)
    screen.begin("epoch 3/12", 400)
    clock.now += 1
    screen.move(100, "loss 2.125")
    assert shown == ["epoch 3/12  " + "░" * 30 + "  0/400", "epoch 3/12  " + "█" * 7 + "░" * 23 + "  100/400  loss 2.125"]


def test_fast_epochs_do_not_flood_a_notebook(shown: list[str], clock: Clock) -> None:
    train(Display(NotebookScreen(shown.append, clock=clock)), clock, seconds=0.01, epochs=1000)
    assert len(shown) <= 10 / 0.5 + 4
    assert "epoch 1000/1000" in shown[-1]


def interrupt(screen: NotebookScreen) -> None:
    screen.epoch("epoch 1/9")
    raise KeyboardInterrupt


def test_what_stopped_a_training_is_below_what_it_had_done(shown: list[str], clock: Clock) -> None:
    screen = NotebookScreen(shown.append, clock=clock)
    screen.begin("epoch 1/9", 4)
    with pytest.raises(KeyboardInterrupt), screen.running():
        interrupt(screen)
    assert shown[-1] == "epoch 1/9"
    screen.note("stopped")
    assert shown[-1] == "epoch 1/9\n\nstopped"


def test_quiet_leaves_the_cell_empty(shown: list[str], clock: Clock) -> None:
    train(Display(NotebookScreen(shown.append, clock=clock), verbosity=0), clock, seconds=20)
    assert shown == []


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch, shown: list[str]) -> SimpleNamespace:
    """IPython as it is within a kernel, as far as we look at it; returns its shell."""
    shell = SimpleNamespace(kernel=object())
    handle = SimpleNamespace(update=lambda data, raw: shown.append(data["text/plain"]))

    def display(data: dict[str, str], *, raw: bool, display_id: bool) -> Any:
        assert raw
        assert display_id
        shown.append(data["text/plain"])
        return handle

    ipython, displaying = ModuleType("IPython"), ModuleType("IPython.display")
    monkeypatch.setattr(ipython, "get_ipython", lambda: shell, raising=False)
    monkeypatch.setattr(displaying, "display", display, raising=False)
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", displaying)
    return shell


def test_a_training_in_a_kernel_is_shown_in_its_cell(
    kernel: SimpleNamespace, shown: list[str], invoke: Callable[..., Result], in_folder: Path
) -> None:
    (in_folder / "prose.txt").write_text("It was late, and nobody could sleep. " * 9, encoding="utf-8")
    small = [
        "--hidden-size",
        4,
        "--context-length",
        8,
        "--epochs",
        2,
        "--batch-size",
        4,
        "--learning-rate",
        0.03,
        "--backend",
        "numpy",
    ]
    result = invoke("train", "prose.txt", *small)
    assert (result.exit_code, result.stderr) == (0, "")
    assert "epoch 2/2  loss" in shown[-1]
    assert "----- Generating text after epoch 2" in shown[-1]
    assert "to write text: chargen sample --run" in shown[-1].split("\n")[-1]


def test_a_cell_shows_what_is_waited_for(shown: list[str]) -> None:
    display = Display(NotebookScreen(shown.append))
    display.note("a line")
    with display.waiting_for("loading tensorflow"):
        assert shown[-1] == "a line\nloading tensorflow ..."
    assert shown[-1] == "a line"


def test_ipython_in_a_terminal_is_no_notebook(kernel: SimpleNamespace) -> None:
    assert isinstance(find_screen(), NotebookScreen)
    del kernel.kernel
    assert isinstance(find_screen(), ConsoleScreen)


def test_elsewhere_ipython_is_not_looked_for() -> None:
    display = "from chargen.training.recording.display import Display; Display().note('here')"
    code = f"import sys; {display}; print('IPython' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("False\n", "here\n")

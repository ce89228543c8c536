import os
import signal
import subprocess
import sys

import pytest

from chargen.training.signals import TrainingInterrupted, deferred_signals


def test_the_first_signal_waits_to_be_noticed_and_the_second_acts() -> None:
    with deferred_signals() as requested:
        requested.check()
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(TrainingInterrupted) as interrupted:
            requested.check()
        assert interrupted.value.signal_number == signal.SIGTERM
        with pytest.raises(SystemExit) as ended:
            os.kill(os.getpid(), signal.SIGINT)
        assert ended.value.code == 130


def test_handlers_are_given_back() -> None:
    before = signal.getsignal(signal.SIGINT)
    with deferred_signals():
        assert signal.getsignal(signal.SIGINT) is not before
    assert signal.getsignal(signal.SIGINT) is before


LONG_STEP = """
import ctypes
from chargen.training import signals
signals.GRACE_SECONDS = 0.2
with signals.deferred_signals():
    print("ready", flush=True)
    libc = ctypes.CDLL(None)
    while True:
        libc.sleep(60)
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_step_that_takes_too_long_is_not_waited_for(number: signal.Signals, code: int) -> None:
    """Compiled code that goes on whatever Python wants, as the C library's sleep begun anew each time does."""
    process = subprocess.Popen([sys.executable, "-c", LONG_STEP], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(number)
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == code
    assert stderr == "chargen: interrupted in a long step; chargen train --resume goes on from the last checkpoint\n"

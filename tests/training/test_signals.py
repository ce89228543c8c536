import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from chargen.training.signals import TrainingInterrupted, deferred_signals


def test_the_first_signal_waits_to_be_noticed_and_the_second_acts() -> None:
    with deferred_signals() as requested:
        requested.check()
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(TrainingInterrupted) as interrupted:
            requested.check()
        assert interrupted.value.signal_number == signal.SIGTERM
        time.sleep(0.1)  # for the thread that watches, which must take the second signal, too
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_another_thread_gets_no_signals_and_changes_no_handlers() -> None:
    before = signal.getsignal(signal.SIGINT)
    found: list[object] = []

    def work() -> None:
        with deferred_signals() as requested:
            requested.check()
            found.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [before]


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


def test_a_patient_one_waits_for_a_step_that_takes_too_long() -> None:
    script = LONG_STEP.replace("import signals\n", "import signals\nimport time\n").replace(
        "with signals.deferred_signals():", "with signals.unlimited_grace(), signals.deferred_signals() as requested:"
    )
    script = script.replace("    while True:\n        libc.sleep(60)\n", WAITED_FOR)
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    stdout, _ = process.communicate(timeout=30)
    assert (process.returncode, stdout) == (0, "noticed\n")


WAITED_FOR = """
    end = time.monotonic() + 1
    while time.monotonic() < end:
        libc.sleep(1)
    try:
        requested.check()
    except signals.TrainingInterrupted:
        print("noticed")
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
    assert stderr == "chargen: interrupted during a long step; chargen train --resume continues from the last checkpoint\n"

"""Tell the other processes of a training why this one ends, so that none leaves before all know."""

import os
import threading
import time
from contextlib import suppress
from typing import Any

ENDED, DONE = "chargen/ended", "chargen/done"
KNOWN_SECONDS = 5.0  # within which all processes learn of an error; a lost process never does
OWN_SECONDS = 1.0  # for a process to report the error itself, because most errors happen in all processes
LEADER_SECONDS = 30.0  # for the first process to notice that the others have left, and to finish what it tracks
FIRST_SECONDS = 1.0  # that the others have to leave before the first process, whose service JAX cannot do without
LONGEST_SECONDS = 7 * 24 * 3600.0


class Endings:
    """Waits for the errors of the other processes, through a client of JAX's coordination service.

    A process that is in a collective operation cannot look for them itself, so a thread does.
    """

    def __init__(self, client: Any, *, leads: bool) -> None:
        self.told: str | None = None  # why another process has ended
        self._client, self._leads = client, leads
        self._ending, self._answered = threading.Event(), threading.Lock()
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def _listen(self) -> None:
        """Wait until another process ends with an error, then end this process, too."""
        with suppress(Exception):  # the service ends with the first process
            self.told = self._client.blocking_key_value_get(ENDED, int(LONGEST_SECONDS * 1000))
            self._ending.wait(OWN_SECONDS)
            if not self._answered.acquire(blocking=False):
                return
            if self._leads:
                self._wait_until_known()
                if self._ending.wait(LEADER_SECONDS):
                    return
            os.write(2, f"chargen: another process of this training has ended ({self.told})\n".encode())
            if not self._leads:
                self._wait_until_known()
            os._exit(1)

    def tell(self, reason: str) -> None:
        """Tell all processes why this one ends, and wait until they know, a few seconds at most."""
        self._ending.set()
        if not self._answered.acquire(blocking=False):
            return
        if self.told is None:
            with suppress(Exception):  # another process was first, or the service has ended
                self._client.key_value_set(ENDED, reason)
        self._wait_until_known()
        if self._leads:
            time.sleep(FIRST_SECONDS)

    def _wait_until_known(self) -> None:
        """Wait until all processes know that one ends."""
        with suppress(Exception):  # one is lost, or the service has ended
            self._client.wait_at_barrier(ENDED, int(KNOWN_SECONDS * 1000))

    def wait_for_all(self) -> None:
        """Wait until all processes have finished. Raises JaxRuntimeError if one is lost."""
        self._client.wait_at_barrier(DONE, int(LONGEST_SECONDS * 1000))
        self._answered.acquire(blocking=False)

    def close(self) -> None:
        """Wait for the thread, which ends once this process has disconnected: Python must not exit while it is in C++."""
        self._listener.join(KNOWN_SECONDS)

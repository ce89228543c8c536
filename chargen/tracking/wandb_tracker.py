"""Log runs to Weights & Biases in a separate process, so that training neither waits for it nor fails with it."""

import json
import os
import secrets
import select
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, final

from chargen.files import write_atomically
from chargen.tracking.tracker import SampleRow

PROGRAM = Path(__file__).with_name("wandb_process.py")
RUN_ID = "wandb-id"  # a file in the run directory
MAX_UNSENT = 64_000_000  # bytes
CHUNK = 65536
LEAVING_SECONDS = 2.0  # for the process to end after the run has finished
QUIET_SECONDS = 3.0  # of waiting before a line reports it


class WaitLimits(NamedTuple):
    """The longest waiting times in seconds at the end of a run.

    finished, stopped: for W&B, after a finished run and after a stopped or failed one. offline: to write a finished run to disk
    if W&B has not answered at all.
    """

    finished: float
    stopped: float
    offline: float


WAIT_LIMITS = WaitLimits(finished=60.0, stopped=10.0, offline=20.0)


@final
class WandbTracker:
    """Log to Weights & Biases.

    wandb runs in another process, `wandb_process.py`, where it may hang, exit, be killed, handle signals or leave threads
    behind. Messages are sent as lines of JSON through a pipe without waiting; answers come back in the same way and are read
    when the next message is sent. Only the end of the run waits, up to WAIT_LIMITS.

    A process that cannot reach W&B is replaced by one that logs offline and gets all messages again. wandb cannot go on in the
    same process: its `teardown` waits without a limit for a service that may never have received the request to end.

    options: project, mode, group and tags; None leaves a value to wandb's environment and files. say: prints a line for the
    user.
    """

    def __init__(self, options: Mapping[str, Any], *, say: Callable[[str], None]) -> None:
        self._options, self._say = dict(options), say
        self._process: subprocess.Popen[bytes] | None = None
        self._temporary = ""  # a folder of the process
        self._run: dict[str, Any] = {}  # the content of the first message
        self._to_repeat = bytearray()  # the messages after it, until the run has begun
        self._unsent, self._received = bytearray(), bytearray()
        self._folder = ""  # the folder of wandb's own files, once it is known
        self._begun = self._finished = False

    def start(self, name: str, folder: Path, settings: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
        run_id, resume = _run_id(folder)
        run = {"name": name, "folder": str(folder.resolve()), "id": run_id, "resume": resume, "watched": os.getpid()}
        self._run = run | self._options | {"problem": None, "config": {**settings, **facts}}
        self._start_process()

    def _start_process(self) -> None:
        self._temporary = tempfile.mkdtemp(prefix="chargen-")
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(PROGRAM), self._temporary],  # -P: do not import modules from the program's folder
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            start_new_session=True,  # Ctrl-C goes only to the training, and without a terminal wandb does not ask for a key
        )
        for pipe in self._pipes:
            os.set_blocking(pipe.fileno(), False)
        self._unsent, self._received = bytearray(_line("start", self._run)) + self._to_repeat, bytearray()
        self._send(b"")

    def log(self, metrics: Mapping[str, float]) -> None:
        self._send(_line("log", metrics))

    def log_samples(self, rows: Sequence[SampleRow]) -> None:
        self._send(_line("samples", rows))

    def finish(self, *, failed: bool, models: Mapping[str, Path]) -> None:
        """End the run. Ctrl-C only stops waiting, because everything else is done."""
        files = {alias: str(path.resolve()) for alias, path in models.items()}
        self._send(_line("finish", {"exit_code": int(failed), "models": files}))
        assert self._process
        try:
            if failed:
                self._wait(WAIT_LIMITS.stopped)
            else:
                self._wait_or_go_offline()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(LEAVING_SECONDS)
        except KeyboardInterrupt:
            raise TimeoutError(f"waiting was stopped{self._later}") from None
        finally:
            self._end()

    @property
    def _pipes(self) -> tuple[Any, Any]:
        assert self._process
        return self._process.stdin, self._process.stdout

    @property
    def _later(self) -> str:
        """The command that sends the unsent rest."""
        return f"; wandb sync {self._folder} sends the rest" if self._folder else ""

    def _send(self, lines: bytes) -> None:
        """Send messages, as far as possible without waiting, and read the answers. A failure ends the process."""
        self._unsent += lines
        if not self._begun:
            self._to_repeat += lines
        try:
            if len(self._unsent) > MAX_UNSENT:
                raise TimeoutError(f"it accepts no more data{self._later}")
            self._exchange()
        except BaseException:
            self._end()
            raise

    def _exchange(self) -> None:
        """Send and receive as far as possible without waiting. Raises RuntimeError if the process has failed."""
        process = self._process
        assert process
        ended = process.poll()  # checked before reading its last answers
        sending, hearing = self._pipes
        try:
            while self._unsent and (sent := sending.write(self._unsent[:CHUNK])):
                del self._unsent[:sent]
        except BrokenPipeError:
            self._unsent.clear()
        while chunk := hearing.read(CHUNK):
            self._received += chunk
        *lines, rest = self._received.split(b"\n")
        self._received = bytearray(rest)
        for line in lines:
            self._receive(*json.loads(line))
        if ended is not None and process is self._process and not self._finished:
            raise RuntimeError(f"its process was ended by signal {-ended}" if ended < 0 else f"its process ended with {ended}")

    def _receive(self, message: str, content: Any) -> None:
        if message == "failed":
            raise RuntimeError(content)
        if message == "finished":
            self._finished = True
            return
        if message == "unreachable":
            self._go_offline(content)
            return
        self._begun = True
        self._to_repeat.clear()
        self._folder = shlex.quote(os.path.relpath(content["folder"]))
        if content["offline"]:
            why = f" ({content['problem']})" if content["problem"] else ""
            self._say(f"W&B is offline for this run{why}; wandb sync {self._folder} sends it later")
        elif content["url"]:
            self._say(f"W&B: {content['url']}")

    def _go_offline(self, problem: str) -> None:
        """Go on in a process that logs offline. problem: why W&B cannot be reached."""
        self._end()
        self._run |= {"mode": "offline", "problem": problem}
        self._start_process()

    def _wait_or_go_offline(self) -> None:
        """Wait for W&B; if it has not answered at all, end the run offline."""
        try:
            self._wait(WAIT_LIMITS.finished)
        except TimeoutError as error:
            if self._begun:
                raise
            self._go_offline(str(error))
            self._wait(WAIT_LIMITS.offline)

    def _wait(self, seconds: float) -> None:
        """Wait for the process to finish the run. Raises TimeoutError, and the errors of `_exchange`."""
        began, reported = time.monotonic(), False
        while not self._finished:
            waited = time.monotonic() - began
            if waited >= seconds:
                raise TimeoutError(f"no answer within {seconds:g} s{self._later}")
            if waited >= QUIET_SECONDS and not reported:
                self._say(f"waiting for W&B, at most {seconds:g} s; Ctrl-C stops waiting")
                reported = True
            sending, hearing = self._pipes
            select.select([hearing], [sending] if self._unsent else [], [], 0.1)
            self._exchange()

    def _end(self) -> None:
        """End the process if it is still running."""
        assert self._process
        self._process.kill()
        self._process.wait()
        for pipe in self._pipes:
            pipe.close()
        shutil.rmtree(self._temporary, ignore_errors=True)


def _line(message: str, content: Any) -> bytes:
    """Return a message as it is sent."""
    return json.dumps([message, content]).encode() + b"\n"


def _run_id(folder: Path) -> tuple[str, bool]:
    """Return the id of a run directory's W&B run, and whether it existed before: a resumed training keeps it."""
    path = folder / RUN_ID
    if path.is_file() and (known := path.read_text(encoding="utf-8").strip()):
        return known, True
    new = os.environ.get("WANDB_RUN_ID") or secrets.token_hex(4)
    write_atomically(path, f"{new}\n")
    return new, False

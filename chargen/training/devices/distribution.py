"""Train one network with several processes, each on its part of every batch.

The processes find each other by the environment variables of `keras.distribution.initialize`, SLURM or Open MPI. Without such
variables, a process trains alone on all its devices.
"""

import atexit
import hashlib
import json
import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import numpy as np

from chargen.errors import ConfigError, TrainingError
from chargen.settings.schema import Settings
from chargen.training.devices.backend import load_backend, muted_stderr, need_backend
from chargen.training.devices.endings import Endings
from chargen.training.devices.ranks import Ranks

ADDRESSES, NUM_PROCESSES, PROCESS_ID = (
    f"KERAS_DISTRIBUTION_{name}" for name in ("JOB_ADDRESSES", "NUM_PROCESSES", "PROCESS_ID")
)
JOIN_SECONDS = 300  # within which all processes must have started
HEARTBEAT_SECONDS = 60  # without a heartbeat, after which a process counts as lost


class JoinedRanks(Ranks):
    """Connects this process to the others through JAX."""

    def __init__(self) -> None:
        import jax

        self.rank, self.count, self.num_devices = jax.process_index(), jax.process_count(), jax.device_count()

    def highest(self, value: int) -> int:
        from jax.experimental.multihost_utils import process_allgather

        return int(np.max(process_allgather(np.int32(value))))

    def check_alike(self, **facts: Any) -> None:
        from jax.experimental.multihost_utils import process_allgather

        digests = [hashlib.sha256(json.dumps(fact).encode()).digest() for fact in facts.values()]
        given = process_allgather(np.array([np.frombuffer(one, np.uint8) for one in digests]))
        everywhere = given.reshape(-1, *given.shape[-2:])  # (processes, facts, bytes)
        for number, name in enumerate(facts):
            if (everywhere[:, number] != everywhere[0, number]).any():
                raise ConfigError(
                    f"the processes do not have the same {name}", hint="start all with the same command, on the same files"
                )

    def describe(self) -> list[str]:
        return [f"each batch is shared among {self.size()}"]

    def size(self) -> str:
        """Return the number of devices and processes in words."""
        devices, processes = f"{self.num_devices} device", f"{self.count} process"
        return f"{devices}{'s' * (self.num_devices != 1)} of {processes}{'es' * (self.count != 1)}"


def check_distributable(settings: Settings, *, minutes: float | None) -> None:
    """Raise ConfigError for settings that do not work with several processes."""
    if minutes is not None:
        raise ConfigError(
            "--minutes and --distribute cannot be used together: each process would measure another speed",
            hint="give --epochs or --preset",
        )
    if settings.training.task == "classify":
        raise ConfigError("--distribute is for writing text, but training.task = classify predicts labels", hint="leave it out")
    if settings.training.members > 1:
        raise ConfigError("--distribute trains one network, --members several", hint="leave one of them out")
    if settings.training.backend != "jax":
        raise ConfigError(
            f"--distribute needs training.backend = jax, not {settings.training.backend}", hint="give --backend jax"
        )
    if settings.network.embedding_norm == "batch":
        raise ConfigError("network.embedding_norm = batch needs the whole batch on one device", hint="leave out --distribute")


@contextmanager
def joined(batch_size: int) -> Iterator[Ranks]:
    """Connect to the other processes, to train together within; what JAX prints on stdout is discarded.

    Raises ConfigError for bad environment variables and for a batch that cannot be shared, and TrainingError if a process is
    lost. No process leaves before all have finished, or know that one has failed.
    """
    need_backend("jax")
    parameters, endings = _parameters(os.environ), None
    signal.signal(signal.SIGTERM, _raise_exit)
    with _muted_stdout():
        try:
            _join(parameters)
            endings = _endings()
            load_backend("jax")
            ranks = JoinedRanks()
            _check_batch(batch_size, ranks)
            yield ranks
            _part(endings)
        except BaseException as error:
            lost = _lost_process(error, endings)
            if endings:
                endings.tell(_first_line(lost or error))
            _leave_at_once(lost or error)
            if lost:
                raise lost from error
            raise


def _parameters(environment: Any) -> dict[str, Any]:
    """Return how JAX finds the other processes, nothing if JAX should look for itself. Raises ConfigError."""
    given = {name: environment.get(name) for name in (ADDRESSES, NUM_PROCESSES, PROCESS_ID)}
    if not any(given.values()):
        return {}
    for name, value in given.items():
        if not value:
            raise ConfigError(f"{name} is not set, but related variables are", hint=f"set {', '.join(given)}, or none of them")
    for name in (NUM_PROCESSES, PROCESS_ID):
        if not str(given[name]).isdecimal():
            raise ConfigError(f"{name} is {given[name]!r}, expected a whole number")
    addresses, count, rank = given[ADDRESSES].split(","), int(given[NUM_PROCESSES]), int(given[PROCESS_ID])
    if rank >= count:
        raise ConfigError(f"{PROCESS_ID} is {rank}, expected a number below {NUM_PROCESSES}, which is {count}")
    host, _, port = addresses[0].rpartition(":")
    if not host or not port.isdecimal():
        raise ConfigError(f"{ADDRESSES} begins with {addresses[0]!r}, expected the host:port of process 0")
    return {"coordinator_address": addresses[0], "num_processes": count, "process_id": rank}


def _join(parameters: dict[str, Any]) -> None:
    """Wait until all processes have started; without variables, train alone."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with muted_stderr(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import jax

    collectives = jax.config.jax_cpu_collectives_implementation
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.config.update("jax_enable_preemption_service", False)  # which would handle SIGTERM
    failure: list[Exception] = []

    def join() -> None:
        try:
            # JAX's own timeout would end the process without our message.
            longest = {"initialization_timeout": 2 * JOIN_SECONDS, "heartbeat_timeout_seconds": HEARTBEAT_SECONDS}
            jax.distributed.initialize(**parameters, **longest)
        except Exception as error:
            failure.append(error)

    waiting = threading.Thread(target=join, daemon=True)  # so that Ctrl-C works
    waiting.start()
    waiting.join(JOIN_SECONDS)
    if waiting.is_alive():
        raise TrainingError(
            f"not all processes started within {JOIN_SECONDS} seconds", hint="start all at once; each must reach process 0"
        )
    if failure and isinstance(failure[0], ValueError) and not parameters:  # it found no cluster
        jax.config.update("jax_cpu_collectives_implementation", collectives)
    elif failure:
        raise TrainingError(f"the processes did not find each other: {_first_line(failure[0])}") from failure[0]


def _check_batch(batch_size: int, ranks: JoinedRanks) -> None:
    devices = ranks.num_devices or 1
    if batch_size % devices:
        below, above = batch_size // devices * devices, -(-batch_size // devices) * devices
        raise ConfigError(
            f"training.batch_size is {batch_size}, expected a multiple of the {ranks.size()}",
            hint=f"give --batch-size {' or '.join(str(size) for size in (below, above) if size)}",
        )


def _endings() -> Endings | None:
    """Return the connection to the endings of the other processes, None without other processes."""
    from jax._src.distributed import global_state  # JAX has no public name for the client

    return Endings(global_state.client, leads=global_state.process_id == 0) if global_state.client else None


def _lost_process(error: BaseException, endings: Endings | None) -> TrainingError | None:
    """Return the error for a lost process, if an error of JAX among several processes means that."""
    import jax

    if not isinstance(error, (jax.errors.JaxRuntimeError, ValueError)) or not endings:
        return None
    return TrainingError(
        f"another process of this training has ended ({endings.told or _first_line(error)})",
        hint="chargen train --resume continues from the last checkpoint, with any number of processes",
    )


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _leave_at_once(error: BaseException) -> None:
    """End the interpreter without the shutdown of JAX, which would wait for processes that may never end."""
    codes = {KeyboardInterrupt: 130, SystemExit: getattr(error, "code", 1)}
    code = codes.get(type(error), getattr(error, "exit_code", 1))

    def leave() -> None:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(code if isinstance(code, int) else 1)

    atexit.register(leave)


def _part(endings: Endings | None) -> None:
    """Wait until all processes have finished, and disconnect from them."""
    import jax

    if endings:
        endings.wait_for_all()
    jax.distributed.shutdown()
    if endings:
        endings.close()


def _raise_exit(number: int, frame: FrameType | None) -> None:
    """Handle a SIGTERM before and after the steps as an error, so that the other processes learn of it."""
    raise SystemExit(128 + number)


@contextmanager
def _muted_stdout() -> Iterator[None]:
    """Redirect file descriptor 1 to nowhere: the libraries that connect processes print there, and stdout is for data."""
    sys.stdout.flush()
    saved = os.dup(1)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    try:
        yield
    finally:
        sys.stdout.flush()
        os.dup2(saved, 1)
        os.close(nowhere)
        os.close(saved)

"""A disk that fails at any write leaves the checkpoint before it whole, and one line that says so."""

import errno
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result

from chargen.errors import RunError
from chargen.runs.checkpoints import Checkpoint, Position, read_newest, write_checkpoint
from chargen.runs.directory import RunDirectory, check_room

FAULTS = (errno.ENOSPC, errno.EIO, errno.EACCES)


class FailingDisk:
    """Fails the nth of the system calls that change the disk, and every one after it until it is mended."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, number: int, fault: int, only: Callable[[Any], bool]) -> None:
        self.left, self.fault, self.failed, self.only = number, fault, False, only
        for name in ("fsync", "replace", "rename", "mkdir"):
            monkeypatch.setattr(os, name, self._failing(getattr(os, name)))

    def _failing(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*arguments: Any, **options: Any) -> Any:
            if self.only(arguments[0]):
                self.left -= 1
                if self.left < 0:
                    self.failed = True
                    raise OSError(self.fault, os.strerror(self.fault))
            return call(*arguments, **options)

        return wrapped


def checkpoint(step: int) -> Checkpoint:
    return Checkpoint(Position(0, step), {"weight": np.full(3, step)}, {"fact": step})


@pytest.mark.parametrize("fault", FAULTS, ids=errno.errorcode.get)
def test_the_checkpoint_before_a_failure_always_loads(tmp_path: Path, fault: int) -> None:
    """At every call that writing a checkpoint makes."""
    folder = tmp_path / "checkpoints"
    write_checkpoint(folder, checkpoint(1))
    number, failed = 0, True
    while failed:
        with pytest.MonkeyPatch.context() as patched:
            disk = FailingDisk(patched, number=number, fault=fault, only=lambda _: True)
            with suppress(OSError):
                write_checkpoint(folder, checkpoint(2))
        failed = disk.failed
        newest, notes = read_newest(folder)
        assert newest is not None
        assert notes == []
        assert newest.facts == {"fact": newest.position.step}
        assert (newest.arrays["weight"] == newest.position.step).all()
        assert failed or newest.position.step == 2
        number += 1
    assert number > 5
    assert sorted(path.name for path in folder.iterdir()) == ["000000-000000001", "000000-000000002"]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="open files are told by /proc")
@pytest.mark.parametrize("fault", FAULTS, ids=errno.errorcode.get)
def test_training_on_a_failing_disk_ends_with_one_line_and_can_go_on(
    invoke_train: Callable[..., Result], prose: Path, fault: int
) -> None:
    """At every few calls of a whole training; after each failure it goes on, and ends as if there had been none."""
    options = ("--backend", "numpy", "--batch-size", 4, "--context-length", 9, "--epochs", 2, "--checkpoint-steps", 8)
    whole = invoke_train(prose, *options, "--runs-dir", "whole")
    assert whole.exit_code == 0, whole.output
    expected = Path(whole.stdout.strip(), "model.safetensors").read_bytes()
    for number in range(0, 600, 23):
        root = Path(f"failing-{number}")
        with pytest.MonkeyPatch.context() as patched:
            disk = FailingDisk(patched, number=number, fault=fault, only=_within(root))
            result = invoke_train(prose, *options, "--runs-dir", root)
        if not disk.failed:
            break
        assert result.exit_code in (1, 2), result.output
        assert "Traceback" not in result.output
        last = result.stderr.splitlines()[-1]
        assert os.strerror(fault) in last
        assert "internal error" not in last
        runs = [path for path in root.glob("*") if RunDirectory(path).config.is_file()]
        if runs:
            resumed = invoke_train("--resume", runs[0])
            assert resumed.exit_code == 0, resumed.output
            assert (runs[0] / "model.safetensors").read_bytes() == expected
    else:
        pytest.fail("a whole training makes fewer calls than that")


def _within(root: Path) -> Callable[[Any], bool]:
    """Tell of a call's first argument, a path or an open file's number, whether it lies below a folder."""

    def within(target: Any) -> bool:
        path = Path(f"/proc/self/fd/{target}").readlink() if isinstance(target, int) else target
        return str(root) in os.fspath(path)

    return within


def test_a_full_disk_is_found_before_training_starts(invoke_train: Callable[..., Result], prose: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"models and checkpoints need about 1,000,000,000,000 MB of disk"):
        check_room(RunDirectory(tmp_path), 10**18)
    check_room(RunDirectory(tmp_path), 1)

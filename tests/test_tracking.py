import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from chargen.tracking import WandbTracker

ROWS = [(1, "Ha", 0.5, "Harold"), (1, "Ha", 1.2, "Haxq")]


class FakeWandb(SimpleNamespace):
    """Records what a run is told; `failing` names the calls that raise."""

    def __init__(self, *failing: str) -> None:
        super().__init__(logged=[], started={}, finished=None)
        self.failing = failing

    def Settings(self, **options: Any) -> dict[str, Any]:  # noqa: N802
        return options

    def Table(self, columns: list[str], data: list[list[Any]]) -> list[dict[str, Any]]:  # noqa: N802
        return [dict(zip(columns, row, strict=True)) for row in data]

    def init(self, **options: Any) -> "FakeWandb":
        self._fail("init")
        self.started = options
        return self

    def log(self, metrics: dict[str, Any]) -> None:
        self._fail("log")
        self.logged.append(metrics)

    def finish(self, exit_code: int) -> None:
        self._fail("finish")
        self.finished = exit_code

    def _fail(self, call: str) -> None:
        if call in self.failing:
            raise RuntimeError(f"{call} failed\nwith details")


def tracked(fake: FakeWandb, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    monkeypatch.setitem(sys.modules, "wandb", fake)
    warnings: list[str] = []
    tracker = WandbTracker("project", warn=warnings.append)
    tracker.start("name", tmp_path, {"network": {"cell": "lstm"}})
    tracker.log({"epoch": 1, "cross_entropy": 2.5})
    tracker.log_samples(ROWS[:1])
    tracker.log_samples(ROWS[1:])
    tracker.finish(failed=False)
    return warnings


def test_settings_metrics_and_a_growing_table_of_samples_are_logged(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fake = FakeWandb()
    assert tracked(fake, monkeypatch, tmp_path) == []
    assert fake.started["config"] == {"network": {"cell": "lstm"}}
    assert (fake.started["project"], fake.started["name"], fake.started["dir"]) == ("project", "name", str(tmp_path))
    metrics, first, second = fake.logged
    assert metrics == {"epoch": 1, "cross_entropy": 2.5}
    assert first["samples"] == [{"epoch": 1, "prompt": "Ha", "diversity": 0.5, "text": "Harold"}]
    assert [row["text"] for row in second["samples"]] == ["Harold", "Haxq"]
    assert fake.finished == 0


@pytest.mark.parametrize("call", ["init", "log", "finish"])
def test_a_failure_is_one_warning(call: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    warnings = tracked(FakeWandb(call), monkeypatch, tmp_path)
    assert warnings == [f"W&B is off for the rest of this run: {call} failed"]


def test_an_offline_run_changes_no_byte(tmp_path: Path) -> None:
    corpus = tmp_path / "names.txt"
    corpus.write_text("Ada\nAlan\nGrace\nLinus\n" * 8, encoding="utf-8")
    environment = os.environ | {"WANDB_MODE": "offline"}
    models = []
    for extra in ([], ["--wandb"]):
        command = [sys.executable, "-m", "chargen", "train", str(corpus), "--hidden-size", "5", "--epochs", "2", *extra]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=environment, check=True)
        assert "W&B is off" not in done.stderr
        models.append(tmp_path / done.stdout.strip() / "model.safetensors")
    without, tracked = models
    assert without.read_bytes() == tracked.read_bytes()
    assert list(tracked.parent.glob("wandb/offline-run-*/run-*.wandb"))
    assert not (without.parent / "wandb").exists()

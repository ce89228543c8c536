import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tracking.wandb_server import WandbServer, serving


@pytest.fixture(autouse=True)
def wandb_at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep wandb's files out of the user's folders, and the user's wandb settings out of the tests."""
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    for name in ("CACHE", "CONFIG", "DATA"):
        monkeypatch.setenv(f"WANDB_{name}_DIR", str(tmp_path / ".wandb" / name.lower()))
    monkeypatch.setenv("NETRC", str(tmp_path / ".wandb" / "netrc"))


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[WandbServer]:
    """Start a W&B server and set it in wandb's environment."""
    with serving(WandbServer()) as running:
        for name, value in running.environment.items():
            monkeypatch.setenv(name, value)
        yield running

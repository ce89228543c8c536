from pathlib import Path

import pytest
from platformdirs import user_cache_path

from chargen.files import cache_folder


@pytest.mark.parametrize("folder", ["", "relative", "/var/cached"])
def test_the_cache_is_where_the_system_has_it(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CHARGEN_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", folder)
    assert cache_folder("native") == user_cache_path("chargen") / "native"


def test_a_variable_moves_the_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHARGEN_CACHE", "elsewhere")
    assert cache_folder("native") == Path("elsewhere/native")

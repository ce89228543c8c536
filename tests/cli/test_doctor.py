import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import Result

from chargen import doctor
from chargen.native import building, library

Invoke = Callable[..., Result]


@pytest.fixture(autouse=True)
def in_cache(in_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty cache, and no kernels, which would take seconds to compile."""
    monkeypatch.setenv("CHARGEN_CACHE", str(in_folder / "cache"))
    monkeypatch.setenv("CHARGEN_NATIVE", "0")
    library._load_or_build.cache_clear()
    yield in_folder / "cache"
    library._load_or_build.cache_clear()


def test_it_tells_what_there_is(invoke: Invoke, in_cache: Path) -> None:
    result = invoke("doctor")
    assert result.exit_code == 0
    assert result.stderr == ""
    for part in ("chargen 0.", "numpy ", "none: CHARGEN_NATIVE is 0", f"{in_cache}, 0.0 MB", "GB free for runs"):
        assert part in " ".join(result.stdout.split())


def test_it_tells_programs(invoke: Invoke) -> None:
    facts = json.loads(invoke("doctor", "--json").stdout)
    assert facts["kernels"] == dict.fromkeys(("float32", "bfloat16"), "none: CHARGEN_NATIVE is 0")
    assert facts["free_disk_bytes"] > 0
    assert "keras" in facts["packages"]
    assert "pytest" not in facts["packages"]


def test_what_is_missing_is_named(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "no-such-compiler")
    monkeypatch.setattr(doctor, "requires", lambda name: ["numpy>=1", "missing>=2", 'absent>=1; extra == "some"'])
    assert building.compiler() is None
    advice = json.loads(invoke("doctor", "--json").stdout)["advice"]
    assert advice == [
        *(
            ["install a C compiler (package gcc or clang): recurrent layers then run as C code, faster"]
            if doctor.platform.system() == "Linux"
            else []
        ),
        "pip install missing: chargen needs it",
        "pip install 'chargen[some]' for absent",
    ]


def test_a_gpu_is_asked_for_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 'NVIDIA H100'\necho 'NVIDIA H100'\n", encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert doctor._gpus() == ["NVIDIA H100", "NVIDIA H100"]
    program.write_text("#!/bin/sh\nexit 9\n", encoding="utf-8")
    assert doctor._gpus() == []

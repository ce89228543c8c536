"""Libraries are built once, whole and for this processor, or there are none and it is said why."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from chargen.native import building, library
from chargen.native.library import AVX2, AVX512, BFLOAT16, Instructions, Kernels, NoKernelsError

COMPILE = building.compile_library
WARNINGS = ("-Wall", "-Wextra", "-Werror", "-Wno-unused-parameter", "-Wno-missing-field-initializers", "-Wno-psabi")


@pytest.fixture(scope="module")
def compiled() -> dict[Instructions, bytes]:
    """What the compiler made in earlier tests: it takes seconds."""
    return {}


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compiled: dict[Instructions, bytes]) -> Iterator[Path]:
    """Nothing is built yet, and nothing that this test loads is known to the next."""
    if building.compiler() is None or not AVX2.needs <= library.processor_flags():
        pytest.skip("there is no compiler, or no processor that the kernels are for")
    monkeypatch.setenv("CHARGEN_CACHE", str(tmp_path))
    monkeypatch.setenv("CHARGEN_NATIVE", "avx2")
    monkeypatch.setattr(building, "compile_library", lambda wanted: compiled_once(wanted, compiled))
    forget()
    yield tmp_path / "native"
    forget()


def compiled_once(instructions: Instructions, compiled: dict[Instructions, bytes]) -> bytes:
    """Return a library as `building.compile_library` does, and fail as it does if there is no compiler that works."""
    if instructions not in compiled or "CC" in os.environ:
        compiled[instructions] = COMPILE(instructions)
    return compiled[instructions]


def forget() -> None:
    library._load_or_build.cache_clear()
    library.find_kernels.cache_clear()


def built() -> Kernels:
    forget()
    return library.load_kernels("float32")


def test_a_library_is_built_once(empty_cache: Path) -> None:
    path = built().path
    when = path.stat().st_mtime_ns
    assert built().path == path
    assert path.stat().st_mtime_ns == when
    assert sorted(one.suffix for one in empty_cache.iterdir()) == [".lock", ".so"]


def test_finding_one_builds_none(empty_cache: Path) -> None:
    assert library.find_kernels("float32") is None
    assert not empty_cache.exists()
    library.load_kernels("float32")
    assert library.find_kernels("float32") is not None


@pytest.mark.parametrize("damage", [lambda content: content[:-100], lambda content: b"", lambda content: content[:99] + b"?"])
def test_a_damaged_library_is_built_again(damage: object) -> None:
    path = built().path
    whole = path.read_bytes()
    path.unlink()  # which this process has mapped
    path.write_bytes(damage(whole))
    forget()
    assert library.find_kernels("float32") is None
    assert built().path.read_bytes() == whole


@pytest.fixture
def prebuilt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the library of a wheel; there is no compiler."""
    folder = tmp_path / "prebuilt"
    folder.mkdir()
    path = folder / library.library_name(AVX2)
    path.write_bytes(building.compile_library(AVX2))
    monkeypatch.setattr(library, "PREBUILT", folder)
    monkeypatch.setenv("CC", "no-such-compiler")
    return path


def test_a_prebuilt_library_needs_no_compiler(prebuilt: Path, empty_cache: Path) -> None:
    assert built().path == prebuilt
    assert built().prebuilt
    assert library.find_kernels("float32") is not None
    assert not empty_cache.exists()


def test_a_damaged_prebuilt_library_is_ignored(prebuilt: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = prebuilt.read_bytes()
    prebuilt.write_bytes(content[:5000] + bytes([content[5000] ^ 1]) + content[5001:])
    forget()
    assert library.find_kernels("float32") is None
    with pytest.raises(NoKernelsError, match="there is no C compiler"):
        library.load_kernels("float32")
    monkeypatch.delenv("CC")
    assert not built().prebuilt


def test_instructions_have_libraries_of_their_own() -> None:
    assert len({library.library_path(one) for one in (AVX2, AVX512, BFLOAT16)}) == 3


def test_the_switch_turns_them_off(monkeypatch: pytest.MonkeyPatch, empty_cache: Path) -> None:
    monkeypatch.setenv("CHARGEN_NATIVE", "0")
    forget()
    with pytest.raises(NoKernelsError, match="CHARGEN_NATIVE is 0"):
        library.load_kernels("float32")
    assert library.kernels_or_none("float32") is None
    assert not empty_cache.exists()


def test_avx2_has_no_bfloat16() -> None:
    with pytest.raises(NoKernelsError, match="CHARGEN_NATIVE is avx2"):
        library.load_kernels("bfloat16")


def test_a_processor_without_the_instructions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHARGEN_NATIVE", "")
    monkeypatch.setattr(library, "processor_flags", lambda: AVX512.needs - {"avx512vl"})
    assert library.choose_instructions("float32") is AVX2
    monkeypatch.setattr(library, "processor_flags", lambda: frozenset({"sse2"}))
    with pytest.raises(NoKernelsError, match="the processor has no AVX2"):
        library.choose_instructions("float32")


def test_another_system(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library.platform, "machine", lambda: "aarch64")
    with pytest.raises(NoKernelsError, match="for Linux on x86-64, this is Linux on aarch64"):
        library.choose_instructions("float32")


def test_without_a_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "no-such-compiler")
    with pytest.raises(NoKernelsError, match=r"there is no C compiler \(cc\)"):
        built()


def test_a_compiler_that_fails_is_asked_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    calls, script = tmp_path / "calls", tmp_path / "broken-cc"
    script.write_text(f"#!/bin/sh\necho call >> {calls}\necho 'kernels.c:1: error: no room' >&2\nexit 1\n", encoding="utf-8")
    script.chmod(0o755)
    monkeypatch.setenv("CC", str(script))
    forget()
    for _ in range(2):
        with pytest.raises(NoKernelsError, match=r"broken-cc cannot build them: kernels.c:1: error: no room$"):
            library.load_kernels("float32")
    assert calls.read_text(encoding="utf-8") == "call\n"


def test_a_cache_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("CHARGEN_CACHE", str(tmp_path / "file"))
    with pytest.raises(NoKernelsError, match="cannot hold them: Not a directory"):
        built()


@pytest.mark.parametrize("instructions", [AVX2, AVX512, BFLOAT16], ids=lambda one: one.name)
def test_the_source_has_no_warnings(instructions: library.Instructions, tmp_path: Path) -> None:
    command = building.build_command(tmp_path / "kernels.so", (*WARNINGS, *instructions.flags))
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.returncode == 0


def test_the_source_stays_readable() -> None:
    for source in library.SOURCE.parent.glob("*.c"):
        lines = source.read_text(encoding="ascii").splitlines()
        assert len(lines) <= 900
        assert max(map(len, lines)) <= 128


def test_the_speed_of_bfloat16_numbers_is_measured_where_there_are_instructions_for_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert library.bfloat16_speed() is None  # with AVX2 alone
    if not BFLOAT16.needs <= library.processor_flags():
        pytest.skip("the processor has no instructions for bfloat16 numbers")
    monkeypatch.delenv("CHARGEN_NATIVE")
    forget()
    rates = [library.load_kernels(products).library.products_a_second() for products in library.CHOICES]
    assert all(1e7 < rate < 1e13 for rate in rates)
    speed = library.bfloat16_speed()
    assert speed is not None
    assert 0 < speed < 100

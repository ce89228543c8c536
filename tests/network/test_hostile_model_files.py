"""Any model file is a model or is refused in one line, and nothing else happens."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.hostile import fuzz_model_file
from tests.hostile.attacks import CANARY, DEVICES
from tests.hostile.craft import build, parts, valid_files
from tests.hostile.fuzz_model_file import FINDINGS, fuzz
from tests.hostile.loading import refusal
from tests.hostile.torture import MOST_MEMORY, ROOT, attack, complaints, torture_by_damage


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hostile") / "attacks"
    folder.mkdir()
    return folder


@pytest.fixture(scope="module")
def report(folder: Path) -> dict[str, Any]:
    return attack(folder, "small")


def test_every_attack_is_one_line_and_exit_code_2_and_does_nothing(report: dict[str, Any], folder: Path) -> None:
    assert len(report["runs"]) > 300
    assert [wrong for run in report["runs"] for wrong in complaints(run)] == []
    assert not [*ROOT.glob(CANARY), *folder.rglob(CANARY), *folder.parent.glob(CANARY)]


def test_a_sound_file_full_of_paths_is_a_file_like_others(report: dict[str, Any]) -> None:
    for run in report["sound"]:
        assert (run["code"], run["seen"], run["stderr"]) == (0, [], "")


def test_the_guard_hears_what_is_read_beside_the_file(report: dict[str, Any]) -> None:
    assert any("demo.toml" in event for event in report["check"]["seen"])


def test_attacks_take_little_memory(report: dict[str, Any]) -> None:
    assert report["peak_bytes"] < MOST_MEMORY


def test_attacks_stand_among_the_runs_as_damaged(report: dict[str, Any]) -> None:
    listing = report["listing"]
    assert (listing["code"], listing["stderr"], listing["seen"]) == (0, "", [])
    rows = {row["name"]: row for row in json.loads(listing["stdout"])}
    assert "not a model file" in rows["hidden-1e9"]["error"]
    assert "not a model file" in rows["keras-archive"]["error"]


@pytest.mark.parametrize("path", DEVICES, ids=lambda path: str(path)[:20])
def test_the_loader_by_itself_refuses_what_is_no_file(path: Path) -> None:
    assert refusal(path)


@pytest.mark.parametrize("name", ["pipe", "directory", "link-loop", "link-dangling", "link-zero"])
@pytest.mark.usefixtures("report")
def test_the_loader_by_itself_refuses_special_files(name: str, folder: Path) -> None:
    assert refusal(folder / name / "model.safetensors")


def test_truncations_and_flipped_bits_are_all_refused() -> None:
    assert torture_by_damage(300) == (600, 600)


@pytest.mark.parametrize("kind", valid_files())
def test_every_kind_of_file_loads(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "model"
    path.write_bytes(valid_files()[kind])
    assert refusal(path, use=True) is None


def test_a_file_of_the_first_version_has_no_seal(tmp_path: Path) -> None:
    metadata, header, data = parts(valid_files()["characters"])
    del metadata["sha256"]
    path = tmp_path / "model"
    path.write_bytes(build(metadata | {"format_version": 1}, header, data))
    assert refusal(path) is None


def test_a_model_file_is_as_large_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "model"
    for size in (1, 7, 8, 100, -1):
        path.write_bytes(valid_files()["characters"][:size])
        assert refusal(path)


def test_damaged_files_load_or_are_refused(tmp_path: Path) -> None:
    tried, loaded, findings = fuzz(range(400), random_seed=1, keep_in=tmp_path)
    assert findings == {}
    assert tried == 400
    assert 20 < loaded < 380


def test_fuzzing_keeps_a_file_for_each_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(path: Path, *, use: bool) -> str | None:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr(fuzz_model_file, "refusal", broken)
    tried, loaded, findings = fuzz(range(5), random_seed=1, keep_in=tmp_path)
    assert (tried, loaded) == (5, 0)
    assert [*findings] == ["ZeroDivisionError: division by zero"]
    assert [*tmp_path.iterdir()] == [*findings.values()]


NONE_FOUND = pytest.param(Path(), marks=pytest.mark.skip(reason="tests/findings is empty: fuzzing has found no fault"))


@pytest.mark.parametrize("path", sorted(FINDINGS.glob("*.safetensors")) or [NONE_FOUND], ids=lambda path: path.stem)
def test_what_fuzzing_found_stays_mended(path: Path) -> None:
    refusal(path, use=True)

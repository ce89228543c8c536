from pathlib import Path

import pytest

from chargen.errors import RunError
from chargen.runs.gradients import read_gradient_panels

HEADER = "epoch,layer,gradient_norm,reach,saturation"


def write(tmp_path: Path, *rows: str, header: str = HEADER) -> Path:
    path = tmp_path / "gradients.csv"
    path.write_text("\n".join([header, *rows, ""]), encoding="utf-8")
    return path


def test_a_curve_for_each_layer(tmp_path: Path) -> None:
    rows = [f"{epoch},recurrent.{layer},{epoch + layer}.5,0.25,0.{layer}" for epoch in (1, 2) for layer in (10, 2, 0)]
    panels = read_gradient_panels(write(tmp_path, *rows))
    assert list(panels) == ["gradient_norm", "saturation", "reach"]
    assert [curve.label for curve in panels["gradient_norm"].curves] == ["layer 1", "layer 3", "layer 11"]
    assert panels["gradient_norm"].curves[1].epochs == (1, 2)
    assert panels["gradient_norm"].curves[1].values == (3.5, 4.5)
    assert panels["saturation"].curves[2].values == (0.10, 0.10)


def test_what_is_not_finite_is_left_out(tmp_path: Path) -> None:
    panels = read_gradient_panels(write(tmp_path, "1,recurrent.0,inf,nan,0.1", "2,recurrent.0,2.0,nan,0.2"))
    assert list(panels) == ["gradient_norm", "saturation"]
    assert panels["gradient_norm"].curves[0].epochs == (2,)


def test_no_file_and_an_empty_one(tmp_path: Path) -> None:
    assert read_gradient_panels(tmp_path / "missing.csv") == {}
    assert read_gradient_panels(write(tmp_path)) == {}


@pytest.mark.parametrize(
    ("row", "header", "told"),
    [
        ("1,recurrent.0,0.1,0.2,0.3", HEADER.replace("reach", "range"), "line 1: there is no column reach"),
        ("1,recurrent.0,0.1,0.2", HEADER, "line 2: 4 cells, expected 5"),
        ("1,recurrent.0,0.1,0.2,much", HEADER, "line 2: a cell is not a number"),
        ("1e999,recurrent.0,0.1,0.2,0.3", HEADER, "line 2: a cell is not a number"),
        ('1,"recurrent', HEADER, "not a table of numbers"),
    ],
)
def test_a_damaged_file_is_refused(row: str, header: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=told):
        read_gradient_panels(write(tmp_path, row, header=header))

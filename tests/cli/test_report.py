"""`chargen report`: the page of a run, whatever there is of it, and that no text gets out of its place."""

import csv
import json
import math
import platform
from collections.abc import Callable, Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner, Result

import chargen
from chargen.cli.program import program
from chargen.runs.config import read_settings, write_config
from chargen.runs.directory import RunDirectory
from chargen.runs.samples import read_samples
from chargen.writing.classifier import load_classifier, save_classifier
from tests.cli.results import assert_one_line

Invoke = Callable[..., Result]

PROSE = "the cat sat on the mat.\nthe dog sat on the log.\n" * 24
SMALL = ("--layers", 2, "--hidden-size", 4, "--embedding", 3, "--context-length", 8, "--backend", "numpy", "--no-memory", "-q")
HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\u202e\x1b[31m'\"&lt;"


class Page(HTMLParser):
    """Collects the text of each section, the curves of each chart, and which tags there are."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.sections: dict[str, str] = {"": ""}
        self.scripts: list[str] = []
        self.polylines: list[list[tuple[float, float]]] = []
        self._section, self._raw = "", False
        self.feed(path.read_text(encoding="utf-8"))
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        self.tags.append((tag, named))
        self._raw = tag in ("script", "style")
        if tag == "script":
            self.scripts.append("")
        if tag == "section":
            self._section = str(named["id"])
            self.sections[self._section] = ""
        if tag == "polyline":
            points = (point.split(",") for point in str(named["points"]).split())
            self.polylines.append([(float(x), float(y)) for x, y in points])

    def handle_endtag(self, tag: str) -> None:
        self._raw = False
        if tag == "section":
            self._section = ""

    def handle_data(self, data: str) -> None:
        if not self._raw:
            self.sections[self._section] += data
        elif self.tags[-1][0] == "script":
            self.scripts[-1] += data

    @property
    def charts(self) -> list[dict[str, Any]]:
        return json.loads(self.scripts[1])["charts"]


@pytest.fixture
def train(invoke: Invoke, in_folder: Path) -> Callable[..., RunDirectory]:
    """Train on prose.txt, some epochs of a small network."""
    (in_folder / "prose.txt").write_text(PROSE, encoding="utf-8")

    def run(*arguments: object, file: str = "prose.txt") -> RunDirectory:
        result = invoke("train", file, *SMALL, *(arguments or ("--epochs", 3)))
        assert result.exit_code == 0, result.output
        return RunDirectory(Path(result.stdout.strip()))

    return run


def reported(invoke: Invoke, *arguments: object) -> Page:
    result = invoke("report", *arguments)
    assert (result.exit_code, result.stderr) == (0, ""), result.output
    (line,) = result.stdout.splitlines()
    return Page(Path(line))


def test_versions_that_cannot_be_read_are_told_of(invoke: Invoke, train: Callable[..., RunDirectory]) -> None:
    run = train("--epochs", 1)
    run.versions.write_bytes(b"python = ")
    assert f"{run.versions} cannot be read" in reported(invoke, "--no-evaluation").sections["trained"]
    run.versions.unlink()
    assert "versions" not in reported(invoke, "--no-evaluation").sections["trained"]


def test_all_parts_of_a_run(invoke: Invoke, train: Callable[..., RunDirectory]) -> None:
    run = train("--epochs", 3, "--schedule", "cosine")
    page = reported(invoke)
    assert run.report.is_file()
    assert list(page.sections) == [
        "",
        "curves",
        "samples",
        "drawn",
        "evaluation",
        "embedding",
        "gradients",
        "trained",
        "commands",
    ]
    told = page.sections
    assert "prose" in told[""]
    assert "learning rate" in told["curves"]
    for name in ("stream", "blocks of 256", "6-gram", "gzip", "xz"):
        assert name in told["evaluation"]
    assert "the validation split, 120 of 1,152 characters" in told["evaluation"]
    assert "3 texts, random seed 1" in told["drawn"]
    assert "network.hidden_size4128Units of each recurrent layer." in told["trained"]
    assert "training.epochs" in told["trained"]
    assert "corpus.glob" not in told["trained"]
    assert "3 of 3 at most" in told["trained"]
    assert f"python {platform.python_version()}, chargen {chargen.__version__}, numpy " in told["trained"]
    assert f"chargen sample --run {run.path}" in told["commands"]


def test_the_curves_are_those_of_metrics_csv(invoke: Invoke, train: Callable[..., RunDirectory]) -> None:
    run = train("--epochs", 3, "--schedule", "cosine")
    with run.metrics.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    page = reported(invoke, "--no-evaluation")
    drawn = [curve["points"] for chart in page.charts for curve in chart["curves"]]
    for points, (column, scale) in zip(
        drawn, (("cross_entropy", math.log(2)), ("validation_cross_entropy", math.log(2)), ("learning_rate", 1)), strict=False
    ):
        assert [epoch for epoch, _ in points] == [1, 2, 3]
        assert [value for _, value in points] == pytest.approx([float(row[column]) / scale for row in rows])
    assert page.charts[0]["second"] == ["nats", math.log(2)]
    with run.gradients.open(encoding="utf-8") as file:
        norms = [float(row["gradient_norm"]) for row in csv.DictReader(file) if row["layer"] == "recurrent.0"]
    assert [value for _, value in page.charts[2]["curves"][0]["points"]] == norms
    assert len(page.polylines) == 2 + 1 + 3 * 2
    for points, line in zip(drawn, page.polylines, strict=True):
        assert [x for x, _ in line] == [0, 500, 1000]
        values = [value for _, value in points]
        heights = [1000 - y for _, y in line]
        assert sorted(range(3), key=values.__getitem__) == sorted(range(3), key=heights.__getitem__)


def test_sample_texts_fold_by_epoch(invoke: Invoke, train: Callable[..., RunDirectory]) -> None:
    run = train("--epochs", 3, "--diversity", 0.5, "--diversity", 0.9)
    page = reported(invoke, "--no-evaluation")
    folds = [named["data-epoch"] for tag, named in page.tags if tag == "details" and "data-epoch" in named]
    assert folds == ["1", "2", "3"]
    assert page.sections["samples"].count("diversity 0.9") == 3
    assert read_samples(run.samples)[-1].text in page.sections["samples"]


def test_fresh_texts_are_those_of_novelty(invoke: Invoke, train: Callable[..., RunDirectory]) -> None:
    run = train("--epochs", 1)
    page = reported(invoke, run.path)
    told = json.loads(invoke("novelty", run.path, "--random-seed", 1, "--count", 3, "--length", 400, "--json").stdout)
    for text in told["texts"]:
        assert text in page.sections["drawn"]
    assert f"{told['copied_share']:.1%} of the text" in page.sections["drawn"]
    first = run.report.read_bytes()
    assert reported(invoke, run.path).sections == page.sections
    assert run.report.read_bytes() == first


def test_copies_are_marked(invoke: Invoke, train: Callable[..., RunDirectory], in_folder: Path) -> None:
    names = [a + b for a in "ab" for b in ("", "a", "b")]
    (in_folder / "names.txt").write_text("\n".join(names * 9) + "\n", encoding="utf-8")
    run = train("--per-line", "--epochs", 1, "--hidden-size", 3, file="names.txt")
    page = reported(invoke, run.path)
    assert "40 texts" in page.sections["drawn"]
    marks = sum(tag == "mark" for tag, _ in page.tags)
    assert f"{marks} of 40" in page.sections["drawn"]
    assert marks > 0


def test_where_the_page_goes(invoke: Invoke, train: Callable[..., RunDirectory], in_folder: Path) -> None:
    run = train("--epochs", 1)
    assert invoke("report", run.name, "--no-evaluation").stdout == f"{run.report}\n"
    result = invoke("report", "--output", "there.html", "--no-evaluation", "-q")
    assert result.stdout == "there.html\n"
    assert (in_folder / "there.html").read_bytes() == run.report.read_bytes()
    assert "evaluation" not in Page(run.report).sections
    other = reported(invoke, run.last_model, "--output", "last.html")
    assert f"--run {run.last_model}" in other.sections["commands"]


def test_a_run_whose_text_is_gone(invoke: Invoke, train: Callable[..., RunDirectory], in_folder: Path) -> None:
    train("--epochs", 1)
    (in_folder / "prose.txt").unlink()
    page = reported(invoke)
    for name in ("evaluation", "drawn"):
        assert "was trained on cannot be used: no such file: prose.txt" in page.sections[name]
    assert "diversity" in page.sections["samples"]


@pytest.mark.parametrize(
    ("arguments", "gone", "told"),
    [
        (("--epochs", 1), (), {"evaluation": "stream", "curves": "Figures of each epoch"}),
        (
            ("--epochs", 2, "--validation-split", 0),
            (),
            {"evaluation": "no validation split", "": "bits a character, training"},
        ),
        (("--epochs", 2, "--sample-every", 0), (), {"samples": "No sample text was written"}),
        (("--epochs", 1), ("gradients.csv",), {"gradients": "no gradient log"}),
        (
            ("--epochs", 1),
            ("metrics.csv", "samples.jsonl", "gradients.csv"),
            {"curves": "No epoch was finished"},
        ),
    ],
)
def test_runs_of_which_something_is_missing(
    arguments: tuple[object, ...],
    gone: tuple[str, ...],
    told: dict[str, str],
    invoke: Invoke,
    train: Callable[..., RunDirectory],
) -> None:
    run = train(*arguments)
    for name in gone:
        (run.path / name).unlink()
    page = reported(invoke)
    for name, text in told.items():
        assert text in page.sections[name]


def test_a_training_that_was_stopped_early(invoke: Invoke, train: Callable[..., RunDirectory]) -> None:
    run = train("--epochs", 50, "--until-loss", 9)
    assert "1 of 50 at most" in reported(invoke, run.path, "--no-evaluation").sections["trained"]
    content = run.samples.read_bytes()
    run.samples.write_bytes(content[: len(content) * 2 // 3])
    assert "diversity" in reported(invoke, "--no-evaluation").sections["samples"]


def test_damaged_files(invoke: Invoke, train: Callable[..., RunDirectory]) -> None:
    run = train("--epochs", 1)
    run.gradients.write_text("epoch,layer\n1,recurrent.0\n", encoding="utf-8")
    run.samples.write_bytes(b"\xff\xfe\x00")
    page = reported(invoke, "--no-evaluation")
    assert "gradients.csv is damaged at line 1" in page.sections["gradients"]
    assert "No sample text" in page.sections["samples"]
    run.metrics.write_text("epoch\n", encoding="utf-8")
    assert_one_line(invoke("report"), "metrics.csv is damaged")
    run.config.unlink()
    assert_one_line(invoke("report"), "has no config.toml")


def test_what_cannot_be_reported_is_one_line(invoke: Invoke, train: Callable[..., RunDirectory]) -> None:
    assert_one_line(invoke("report"), "no trained run")
    assert_one_line(invoke("report", "missing"), "no such run: missing")
    train("--epochs", 1)
    assert_one_line(invoke("report", "--no-evaluation", "--output", "missing/page.html"), "cannot write", "--output")


def test_a_labelled_run_draws_of_each_label(invoke: Invoke, train: Callable[..., RunDirectory], in_folder: Path) -> None:
    (in_folder / "other.txt").write_text(PROSE.upper(), encoding="utf-8")
    result = invoke("train", "prose.txt", "other.txt", "--label-by", "file", *SMALL, "--epochs", 1)
    assert result.exit_code == 0, result.output
    page = reported(invoke)
    assert "labelsother, prose" in page.sections["trained"]
    assert "2 texts" in page.sections["drawn"]
    assert "--label other" in page.sections["commands"]


def test_a_report_has_the_accuracy_of_test_texts(
    invoke: Invoke, write_classifier: Callable[..., Path], train: Callable[..., RunDirectory]
) -> None:
    path = write_classifier()
    model = load_classifier(path)
    save_classifier(path, replace(model, provenance={**model.provenance, "test": {"accuracy": 0.375}}))
    write_config(RunDirectory(path.parent), read_settings(train("--epochs", 1)))
    assert "accuracy, --test37.5%" in reported(invoke, path.parent).sections[""].replace("\n", "")


def test_a_classifier_has_a_shorter_page(
    invoke: Invoke, write_classifier: Callable[..., Path], train: Callable[..., RunDirectory]
) -> None:
    run = RunDirectory(write_classifier().parent)
    write_config(run, read_settings(train("--epochs", 1)))
    header = "epoch,step,cross_entropy,validation_cross_entropy,accuracy,validation_accuracy,learning_rate"
    run.metrics.write_text(f"{header}\n1,9,0.7,0.69,0.5,0.55,0.003\n2,18,0.5,0.6,0.75,0.7,0.003\n", encoding="utf-8")
    page = reported(invoke, run.path)
    assert list(page.sections) == ["", "curves", "trained", "commands"]
    assert "81.2%" in page.sections[""]
    assert "accuracy" in page.sections["curves"]
    assert "nats a text" in page.sections["curves"]
    assert [value for _, value in page.charts[1]["curves"][1]["points"]] == [0.55, 0.7]
    assert "neg, pos" in page.sections["trained"]
    assert "chargen classify" in page.sections["commands"]


@pytest.fixture
def hostile(invoke: Invoke, train: Callable[..., RunDirectory], in_folder: Path) -> RunDirectory:
    """A run whose corpus, settings, sample texts, layers and folder bear markup and control characters."""
    name = "<img src=x onerror=alert(1)> & 'x'.txt"
    (in_folder / name).write_text("<script>alert(2)</script>\u202e</p>\x1b[31m&amp;\n" * 30, encoding="utf-8")
    run = train("--epochs", 2, file=name)
    settings = run.config.read_text(encoding="utf-8").replace(
        'encoding = "auto"', 'encoding = "</td><script>alert(3)</script>"'
    )
    run.config.write_text("# </li><script>alert(4)</script>\n" + settings, encoding="utf-8")
    gradients = run.gradients.read_text(encoding="utf-8").replace("recurrent.1", "</svg><script>alert(5)</script>")
    run.gradients.write_text(gradients, encoding="utf-8")
    with run.samples.open("a", encoding="utf-8") as file:
        file.write(json.dumps({"epoch": 7, "prompt": HOSTILE, "diversity": 0.5, "text": f"{HOSTILE}!"}) + "\n")
    return RunDirectory(run.path.rename(run.path.with_name("</title><script>alert(6)</script>".replace("/", "\u2215"))))


def test_no_text_becomes_markup(hostile: RunDirectory, invoke: Invoke) -> None:
    page = reported(invoke)
    assert len(page.scripts) == 3
    assert not {"img", "b onerror", "link", "iframe"} & {tag for tag, _ in page.tags}
    assert all(not name.startswith("on") and name != "style" for _, named in page.tags for name in named)
    content = hostile.report.read_text(encoding="utf-8")
    assert not {"\x1b", "\u202e"} & set(content)
    for number in range(1, 7):
        assert f"alert({number})" in content
    assert HOSTILE[:40] in page.sections["samples"]


@pytest.fixture
def open_report(browser: Any) -> Iterator[Callable[..., Any]]:
    """Open a page. Afterwards it has asked for nothing, and there were no errors."""
    odd: list[str] = []
    contexts = []

    def open_it(path: Path, **options: Any) -> Any:
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(10_000)
        page.on("request", lambda request: odd.append(request.url) if not request.url.startswith("file:") else None)
        page.on("dialog", lambda dialog: odd.append(f"dialog {dialog.message}"))
        page.on("console", lambda message: odd.append(f"console {message.text}"))
        page.on("pageerror", lambda error: odd.append(f"error {error}"))
        page.goto(path.resolve().as_uri())
        return page

    yield open_it
    for context in contexts:
        context.close()
    assert odd == []


def test_in_a_browser(invoke: Invoke, train: Callable[..., RunDirectory], open_report: Callable[..., Any]) -> None:
    run = train("--epochs", 3)
    reported(invoke, "--no-evaluation")
    page = open_report(run.report, viewport={"width": 390, "height": 844}, color_scheme="dark")
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    slider = page.locator(".stepper input")
    assert page.locator(".stepper output").inner_text() == "after epoch 3"
    slider.press("ArrowLeft")
    assert page.locator(".stepper output").inner_text() == "after epoch 2"
    page.get_by_label("Earlier epoch").click()
    assert page.locator("details.on").get_attribute("data-epoch") == "1"
    assert page.locator("details[data-epoch]:visible").count() == 1
    plot = page.locator(".plot").first
    plot.press("ArrowRight")
    with run.metrics.open(encoding="utf-8") as file:
        bits = float(next(csv.DictReader(file))["validation_cross_entropy"]) / math.log(2)
    told = page.locator(".readout").first
    assert told.inner_text().startswith("epoch 1: training ")
    assert f"validation {float(f'{bits:.4g}'):g}" in told.inner_text()
    box = plot.bounding_box()
    page.locator(".hit").first.hover(position={"x": 150, "y": 60})
    assert box["width"] > 250
    assert told.inner_text().startswith("epoch ")


def test_hostile_texts_in_a_browser(hostile: RunDirectory, invoke: Invoke, open_report: Callable[..., Any]) -> None:
    reported(invoke)
    page = open_report(hostile.report, viewport={"width": 1200, "height": 900})
    assert page.locator(".stepper output").inner_text() == "after epoch 7"
    assert "onerror=alert(2)" in page.locator("details.on").inner_text()


def test_without_scripts_the_folds_remain(
    invoke: Invoke, train: Callable[..., RunDirectory], open_report: Callable[..., Any]
) -> None:
    run = train("--epochs", 2)
    reported(invoke, "--no-evaluation")
    page = open_report(run.report, java_script_enabled=False)
    assert not page.locator(".stepper").is_visible()
    assert page.locator("details[data-epoch]:visible").count() == 2
    page.locator("summary", has_text="After epoch 1").click()
    assert page.locator("details[data-epoch='1'] article").first.is_visible()


def test_help_tells_of_it() -> None:
    assert "report" in CliRunner().invoke(program, ["--help"]).output


def test_several_runs_are_overlaid(invoke: Invoke, train: Callable[..., RunDirectory]) -> None:
    runs = [train("--epochs", epochs) for epochs in (3, 2)]
    page = reported(invoke, *(run.path for run in runs), "--no-evaluation")
    labels = [curve["label"] for curve in page.charts[0]["curves"]]
    assert labels == [f"{part}, {run.path.name}" for run in runs for part in ("training", "validation")]
    assert [len(curve["points"]) for curve in page.charts[0]["curves"]] == [3, 3, 2, 2]
    assert runs[0].report.is_file()
    assert not runs[1].report.is_file()


def test_contents_tables_and_pictures(
    invoke: Invoke, train: Callable[..., RunDirectory], open_report: Callable[..., Any]
) -> None:
    run = train("--epochs", 3)
    found = reported(invoke)
    assert str(run.path.absolute()) not in "".join(found.sections.values())
    page = open_report(run.report, viewport={"width": 1280, "height": 900})
    links = page.locator("nav a").evaluate_all("all => all.map((one) => one.getAttribute('href'))")
    assert links == [f"#{name}" for name in found.sections if name]
    assert "bits a character" in page.locator(".verdict").inner_text()
    bits = page.locator("#evaluation thead button").nth(2)
    for way in (1, -1):
        bits.click()
        figures = [float(one) for one in page.locator("#evaluation tbody td:nth-child(3)").all_inner_texts()]
        assert figures == sorted(figures)[::way]
    with page.expect_download() as saved:
        page.get_by_role("button", name="Save picture: cross-entropy").click()
    assert saved.value.suggested_filename == "cross-entropy.svg"
    tags = [one.tag.rpartition("}")[2] for one in ElementTree.parse(saved.value.path()).iter()]
    assert tags.count("polyline") == 2

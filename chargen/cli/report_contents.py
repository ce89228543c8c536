"""Collect the contents of the page of `chargen report`."""

import math
import shlex
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import chargen
from chargen.settings.schema import TrainingConfig

if TYPE_CHECKING:
    from chargen.insight.assessment import Row, Subject
    from chargen.insight.report import Judgement, RunRecord
    from chargen.pages.charts import Chart
    from chargen.pages.report import Command, Contents, Piece
    from chargen.runs.curves import Panel
    from chargen.runs.metrics import History

    Measured = tuple[Subject, list[Row]]

TOKENS = {"char": "characters", "byte": "bytes", "word": "words", "bpe": "BPE tokens"}
NAMED = 5  # of a list of lines


def make_contents(
    record: "RunRecord", measured: "Measured | None", judgement: "Judgement | None", *, spoken: str
) -> "Contents":
    """Return the contents of a run's page.

    judgement: of new texts. spoken: the name of the run for other commands.
    """
    from chargen.insight.report import changed_settings
    from chargen.pages.report import Contents, Figures, Sample

    network = record.metadata["network"]
    return Contents(
        title=_corpus(record),
        subtitle=f"{network.cell} {network.num_layers}x{network.hidden_size}, run {record.run.path.resolve().name}",
        tiles=list(_tiles(record)),
        facts=list(_facts(record)),
        reasons=record.reasons,
        settings=[(one.name, _value(one.value), _default(one.default), one.help) for one in changed_settings(record.settings)],
        curves=_curves(record),
        table=_table(record.history),
        samples=[Sample(**one._asdict()) for one in record.samples],
        gradients=_gradients(record.gradients),
        evaluation=[
            Figures(one.name, one.kind, one.quality.cross_entropy, one.quality.bits_per_character, one.quality.shown_perplexity)
            for one in (measured[1] if measured else [])
        ],
        drawn_facts=list(_drawn_facts(judgement)) if judgement else [],
        drawn=_pieces(judgement) if judgement else [],
        drawn_lines=record.metadata.get("reading") == "line",
        commands=_commands(record, spoken),
        notes=_notes(record, measured, judgement),
    )


def _corpus(record: "RunRecord") -> str:
    return str(record.metadata["provenance"].get("corpus") or "a corpus without a name")


def _tiles(record: "RunRecord") -> Iterator[tuple[str, str]]:
    """Yield the most important figures."""
    best, provenance = record.best, record.metadata["provenance"]
    if record.classifies and isinstance(provenance.get("accuracy"), float):
        yield "accuracy", f"{provenance['accuracy']:.1%}"
    elif best.get("bits_per_character") is not None:
        yield "bits a character, validation", f"{best['bits_per_character']:.3f}"
    elif record.history and record.history.rows[-1].get("bits_per_character") is not None:
        yield "bits a character, training", f"{record.history.rows[-1]['bits_per_character']:.3f}"
    yield "epochs", f"{record.history.epochs[-1].epoch:,}" if record.history else "0"
    if record.seconds is not None:
        yield "training time", str(timedelta(seconds=round(record.seconds)))
    yield "parameters", f"{record.num_parameters:,}"
    if type(provenance.get("characters")) is int:
        yield "characters of text", f"{provenance['characters']:,}"


def _facts(record: "RunRecord") -> Iterator[tuple[str, str]]:
    """Yield the facts about corpus, network and training."""
    metadata, settings = record.metadata, record.settings
    network, training = metadata["network"], settings.training
    yield "corpus", f"{_corpus(record)}, sha256 {metadata['provenance'].get('sha256')!s:.12}"
    yield "vocabulary", f"{len(metadata['vocabulary'].pieces):,} {TOKENS[settings.corpus.tokens]}"
    labels = metadata["labels"] if record.classifies else metadata["vocabulary"].labels
    if labels:
        yield "labels", ", ".join(labels)
    inputs = f"embedding {network.embedding_size}" if network.embedding_size else "one-hot"
    yield (
        "network",
        f"{network.cell} {network.num_layers}x{network.hidden_size}, {inputs}, {record.num_parameters:,} parameters",
    )
    yield "windows", f"{metadata['context_length']:,} tokens{_batch(training)}"
    yield "optimizer", f"{training.optimizer}, learning rate {training.learning_rate:g}, {training.schedule}"
    if record.history:
        best = f", the best after {record.best['best_epoch']:,}" if record.best.get("best_epoch") else ""
        yield "epochs", f"{record.history.epochs[-1].epoch:,} of {training.epochs:,} at most{best}"
    if record.seconds is not None:
        yield "training time", f"{timedelta(seconds=round(record.seconds))}, without validation and sample texts"
    yield "trained by", f"{training.backend}, random seed {training.random_seed}"
    versions = ", ".join(f"{name} {version}" for name, version in record.versions.items())
    if versions or "versions" in record.notes:
        yield "versions", versions or record.notes["versions"]
    yield "page by", f"chargen {chargen.__version__}"


def _batch(training: TrainingConfig) -> str:
    return f", {training.batch_size:,} in a batch" if training.batch_size else ""


def _value(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(_value, value))
    return (
        {True: "yes", False: "no"}[value]
        if isinstance(value, bool)
        else f"{value:g}"
        if isinstance(value, float)
        else str(value)
    )


def _default(value: Any) -> str:
    return _value(value) or "none"


def _curves(record: "RunRecord") -> "list[Chart]":
    """Return the charts of each epoch's figures."""
    from chargen.insight.report import accuracy_panel
    from chargen.pages.charts import Chart
    from chargen.runs.curves import make_panels

    if not record.history:
        return []
    losses, *rates = make_panels([record.history])
    name, _, unit = losses.title.partition(", ")
    second = ("bits", 1 / math.log(2)) if record.classifies else ("nats", math.log(2))
    charts = [Chart(title=name, unit=unit, curves=losses.curves, second=second, best="lowest")]
    accuracies = accuracy_panel(record.history)
    if accuracies:
        charts.append(Chart(title=accuracies.title, curves=accuracies.curves, percent=True, best="highest"))
    return charts + [Chart(title=rate.title, unit="after each epoch", curves=rate.curves) for rate in rates]


def _gradients(panels: "Mapping[str, Panel]") -> "list[Chart]":
    from chargen.pages.charts import Chart
    from chargen.runs.gradients import FIGURES

    units = {"gradient_norm": "by all weights of a layer", "saturation": "share", "reach": "as a share of the last step's"}
    return [
        Chart(
            title=FIGURES[name],
            unit=unit,
            curves=panels[name].curves,
            percent=name == "saturation",
            logarithmic=name != "saturation",
        )
        for name, unit in units.items()
        if name in panels
    ]


def _table(history: "History | None") -> list[list[str]]:
    """Return the rows of metrics.csv for reading, the header first."""
    if not history:
        return []
    header = list(history.rows[0])
    rows = [["" if value is None else _number(value) for value in row.values()] for row in history.rows]
    return [[one.replace("_", " ") for one in header], *rows]


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:.6g}"


def _drawn_facts(judgement: "Judgement") -> Iterator[tuple[str, str]]:
    from chargen.insight.report import COPY_LENGTH, RANDOM_SEED

    novelty, longest = judgement.novelty, judgement.novelty.longest
    yield "drawn", f"{len(judgement.texts):,} texts, random seed {RANDOM_SEED}, temperature 1"
    yield "compared with", f"{judgement.corpus}, {judgement.corpus_characters:,} characters"
    if longest:
        yield "longest copy", f"{len(longest.text):,} characters, line {longest.line:,} of {longest.source}: {longest.text!r}"
    yield f"within copies of {COPY_LENGTH} characters or more", f"{novelty.copied_share:.1%} of the text"
    yield "lines in the corpus", _named(novelty.exact, len(novelty.lines))
    near = [f"{one.line} ({one.nearest})" for one in novelty.near]
    yield "lines one or two letters off", _named(near, len(novelty.lines))


def _named(some: Sequence[str], of: int) -> str:
    """Return the count of some lines, and the lines."""
    distinct = list(dict.fromkeys(some))
    more = ", ..." if len(distinct) > NAMED else ""
    return f"{len(some):,} of {of:,}{': ' if distinct else ''}{', '.join(distinct[:NAMED])}{more}"


def _pieces(judgement: "Judgement") -> "list[list[Piece]]":
    """Return the texts in pieces; copies from the corpus are marked."""
    from chargen.pages.report import Piece

    exact = set(judgement.novelty.exact)
    texts = []
    for number, text in enumerate(judgement.texts):
        copied = [text in exact] * len(text)
        for span in judgement.novelty.copies:
            if span.number == number:
                copied[span.start : span.start + len(span.text)] = [True] * len(span.text)
        cuts = [0, *(place for place in range(1, len(text)) if copied[place] != copied[place - 1]), len(text)]
        texts.append([Piece(text[first:last], copied[first]) for first, last in pairwise(cuts) if last > first])
    return texts


def _commands(record: "RunRecord", spoken: str) -> "list[Command]":
    from chargen.pages.report import Command

    if record.classifies:
        return [Command("Predict the label of a text:", f'chargen classify "some text" --run {spoken}')]
    labels = record.metadata["vocabulary"].labels
    label = f" --label {shlex.quote(labels[0])}" if labels else ""
    return [
        Command("Write more text:", f"chargen sample --run {spoken}{label} --temp 0.8"),
        Command("Share it as a page that runs in any browser:", f"chargen export {spoken} --output network.html"),
        Command("Measure it on another text:", f"chargen evaluate {spoken} FILE"),
        Command("Train further from its weights, on any text:", f"chargen train FILE --from {spoken}"),
    ]


def _notes(record: "RunRecord", measured: "Measured | None", judgement: "Judgement | None") -> dict[str, str]:
    """Return the remark about a part, or about why it is missing."""
    notes = dict(record.notes)
    if not record.history:
        notes["curves"] = "No epoch was finished."
    elif len({epoch.learning_rate for epoch in record.history.epochs}) == 1 < len(record.history.epochs):
        notes["curves"] = f"The learning rate was constant: {record.history.epochs[0].learning_rate:g}."
    if record.classifies:
        return notes
    if not record.samples:
        notes.setdefault("samples", "No sample text was written.")
    if not record.gradients:
        notes.setdefault("gradients", "There is no gradient log: it exists only for networks that the NumPy trainer supports.")
    if measured:
        notes["evaluation"] = _measured_on(measured[0])
    if judgement:
        notes["drawn"] = "Stretches that are in the corpus are marked."
    return notes


def _measured_on(subject: "Subject") -> str:
    from chargen.insight.assessment import missing_baselines_note

    held_out, learnt = (sum(len(one.text) for one in documents) for documents in (subject.documents, subject.training))
    problem = missing_baselines_note(subject)
    others = f"; {problem}" if problem else "; the baselines use the same training part"
    return f"On {held_out:,} characters that training held out of {held_out + learnt:,}{others}."

"""Build the page of `chargen report`: the settings, curves, samples and quality of one run in one file."""

import math
import shlex
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from itertools import groupby, pairwise

from chargen.insight.assessment import missing_baselines_note
from chargen.insight.embedding import Embedding
from chargen.insight.layers import describe_networks
from chargen.insight.report import (
    COPY_LENGTH,
    RANDOM_SEED,
    Evaluation,
    Judgement,
    RunRecord,
    accuracy_panel,
    changed_settings,
)
from chargen.pages.charts import Chart, chart_data, draw, selection
from chargen.pages.page import escaped, make_page
from chargen.pages.scatter import draw_scatter
from chargen.pages.verdict import verdict
from chargen.runs.curves import Panel, make_panels
from chargen.runs.directory import recorded_test
from chargen.runs.gradients import FIGURES
from chargen.runs.metrics import History
from chargen.runs.samples import SampleText
from chargen.settings.schema import TrainingConfig
from chargen.version import __version__

MAX_EPOCHS = 200  # epochs with sample texts and figures in a page
LONGEST_VALUE = 300  # characters of a setting or a name
BAR = 100  # width of the longest bar
MAX_TOKENS = 200  # in the picture of the embedding
MAX_LINES = 5  # of the corpus, listed
TOKENS = {"char": "characters", "byte": "bytes", "word": "words", "bpe": "BPE tokens"}


def report_page(
    record: RunRecord,
    evaluation: Evaluation | None,
    judgement: Judgement | None,
    *,
    embedding: Embedding | None = None,
    run_name: str,
    others: Sequence[RunRecord] = (),
) -> str:
    """Return the page of a run, in which every text of the run is escaped.

    evaluation, judgement, embedding: None leaves out the quality of the model, the new texts, and the picture of its tokens.
    run_name: the run's name for commands. others: runs whose curves are drawn beside.
    """
    notes = _notes(record, evaluation, judgement)
    curves, gradients = _curves(record, others), _gradients(record.gradients)
    subtitle = f"{describe_networks(record.metadata['networks'])}, run {record.run.path.resolve().name}"
    sections = {
        "curves": ("How it learned", [*map(draw, curves), _figures(record.history)]),
        "samples": ("What it wrote during training", _samples(record.samples)),
        "drawn": ("What it writes now, and how much is copied", _drawn(record, judgement) if judgement else []),
        "evaluation": ("How well it predicts", _evaluation(evaluation) if evaluation else []),
        "embedding": ("Embedding of the tokens", _embedding(embedding) if embedding else []),
        "gradients": ("Gradients", list(map(draw, gradients))),
        "trained": ("Settings", _trained(record)),
        "commands": ("Next steps", _commands(record, run_name)),
    }
    written = {name: _section(name, *one, notes.get(name, "")) for name, one in sections.items()}
    sentence = verdict(record, evaluation[1] if evaluation else ())
    parts = [
        f"<header>\n<div><h1>{_short(_corpus(record))}</h1><p>{_short(subtitle)}</p></div>\n</header>",
        '<div role="region" aria-label="Summary">',
        f'<p class="verdict">{escaped(sentence)}</p>' if sentence else "",
        f'<dl class="tiles">{_terms(_tiles(record))}</dl>\n</div>\n<div class="columns">',
        _contents({name: sections[name][0] for name, markup in written.items() if markup}),
        "<main>",
        *written.values(),
        "</main>\n</div>",
    ]
    data = {"charts": [chart_data(chart) for chart in (*curves, *gradients) if draw(chart)]}
    body = "\n".join(filter(None, parts))
    return make_page(["report"], title=f"{_corpus(record)}: report", body=body, data=data)


def _section(name: str, heading: str, content: Sequence[str], note: str) -> str:
    """Return a section of the page with its note; "" if both are empty."""
    if not any(content) and not note:
        return ""
    noted = f'<p class="note">{escaped(note)}</p>' if note else ""
    return "\n".join(filter(None, [f'<section id="{name}">', f"<h2>{heading}</h2>", noted, *content, "</section>"]))


def _contents(headings: Mapping[str, str]) -> str:
    """Return the list of sections, by name."""
    items = "".join(f'<li><a href="#{name}">{heading}</a></li>' for name, heading in headings.items())
    return f'<nav aria-label="Contents"><ol>{items}</ol></nav>'


def _notes(record: RunRecord, evaluation: Evaluation | None, judgement: Judgement | None) -> dict[str, str]:
    """Return by name of a section a remark, or why the section is empty."""
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
    if evaluation:
        notes["evaluation"] = _measured_on(evaluation)
    if judgement:
        notes["drawn"] = "Parts that are copied from the corpus are marked."
    return notes


def _embedding(embedding: Embedding) -> list[str]:
    """Return the picture of the first tokens; near ones have similar vectors."""
    names = [repr(one)[1:-1] for one in embedding.tokens[:MAX_TOKENS]]
    title = f"The vectors of {len(names):,} tokens"
    about = f"{title}, {embedding.vectors.shape[1]} numbers each, in the two directions in which they vary most."
    return [f'<p class="note">{about}</p>', draw_scatter(names, embedding.plane()[: len(names)], title=title)]


def _measured_on(evaluation: Evaluation) -> str:
    subject, _ = evaluation
    held_out, learnt = (sum(len(one.text) for one in documents) for documents in (subject.documents, subject.training))
    problem = missing_baselines_note(subject)
    others = f"; {problem}" if problem else "; the baselines use the same training text"
    return f"Measured on the validation split, {held_out:,} of {held_out + learnt:,} characters{others}."


def _corpus(record: RunRecord) -> str:
    return str(record.metadata["provenance"].get("corpus") or "a corpus without a name")


def _tiles(record: RunRecord) -> Iterator[tuple[str, str]]:
    """Yield the most important figures."""
    best, provenance = record.best, record.metadata["provenance"]
    if record.classifies and isinstance(provenance.get("accuracy"), float):
        yield "accuracy, validation", f"{provenance['accuracy']:.1%}"
        if (tested := recorded_test(provenance)) is not None:
            yield "accuracy, --test", f"{tested:.1%}"
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


def _facts(record: RunRecord) -> Iterator[tuple[str, str]]:
    """Yield the facts about corpus, network and training."""
    metadata, settings = record.metadata, record.settings
    networks, training = metadata["networks"], settings.training
    yield "corpus", f"{_corpus(record)}, sha256 {metadata['provenance'].get('sha256')!s:.12}"
    yield "vocabulary", f"{len(metadata['vocabulary'].pieces):,} {TOKENS[settings.corpus.tokens]}"
    labels = metadata["labels"] if record.classifies else metadata["vocabulary"].labels
    if labels:
        yield "labels", ", ".join(labels)
    size = networks[0].embedding_size
    inputs = f"embedding {size}" if size else "one-hot"
    yield "network", f"{describe_networks(networks)}, {inputs}, {record.num_parameters:,} parameters"
    yield "windows", f"{metadata['context_length']:,} tokens{_batch(training)}"
    yield "optimizer", f"{training.optimizer}, learning rate {training.learning_rate:g}, {training.schedule}"
    if record.history:
        best = f", the best after {record.best['best_epoch']:,}" if record.best.get("best_epoch") else ""
        yield "epochs", f"{record.history.epochs[-1].epoch:,} of {training.epochs_of_all:,} at most{best}"
    if record.seconds is not None:
        yield "training time", f"{timedelta(seconds=round(record.seconds))}, without validation and sample texts"
    yield "trained by", f"{training.backend}, random seed {training.random_seed}"
    versions = ", ".join(f"{name} {version}" for name, version in record.versions.items())
    if versions or "versions" in record.notes:
        yield "versions", versions or record.notes["versions"]
    yield "page by", f"chargen {__version__}"


def _batch(training: TrainingConfig) -> str:
    return f", {training.batch_size:,} in a batch" if training.batch_size else ""


def _value(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(_value, value))
    return (
        {True: "yes", False: "no"}[value]
        if isinstance(value, bool)
        else f"{value:g}"
        if isinstance(value, float)
        else str(value)
    )


def _curves(record: RunRecord, others: Sequence[RunRecord]) -> list[Chart]:
    """Return the charts of each epoch's figures; those of other runs are beside in the chart of the losses."""
    if not record.history:
        return []
    losses, *rates = make_panels([one.history for one in (record, *others) if one.history])
    name, _, unit = losses.title.partition(", ")
    second = ("bits", 1 / math.log(2)) if record.classifies else ("nats", math.log(2))
    charts = [Chart(title=name, unit=unit, curves=losses.curves, second=second, best="lowest")]
    accuracies = accuracy_panel(record.history)
    if accuracies:
        charts.append(Chart(title=accuracies.title, curves=accuracies.curves, percent=True, best="highest"))
    return charts + [Chart(title=rate.title, unit="after each epoch", curves=rate.curves) for rate in rates]


def _gradients(panels: Mapping[str, Panel]) -> list[Chart]:
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


def _figures(history: History | None) -> str:
    """Return the table of metrics.csv."""
    if not history:
        return ""
    header = [name.replace("_", " ") for name in history.rows[0]]
    rows = [["" if value is None else _number(value) for value in row.values()] for row in history.rows]
    shown = [rows[position] for position in selection(len(rows), MAX_EPOCHS)]
    return f"<details><summary>Figures of each epoch</summary>{_table(header, shown, kind='numbers')}</details>"


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:.6g}"


def _samples(samples: Sequence[SampleText]) -> list[str]:
    """Return a fold for each epoch; the page's script turns them into one position with a slider."""
    epochs = [list(group) for _, group in groupby(samples, key=lambda sample: sample.epoch)]
    shown = [epochs[position] for position in selection(len(epochs), MAX_EPOCHS)]
    if not shown:
        return []
    stepper = (
        '<p class="stepper" hidden><button type="button" aria-label="Earlier epoch">\u2039</button>'
        f'<input type="range" min="0" max="{len(shown) - 1}" '
        f'value="{len(shown) - 1}" aria-label="Epoch; arrow keys step through them">'
        '<button type="button" aria-label="Later epoch">\u203a</button><output></output></p>'
    )
    folds = [
        f'<details data-epoch="{group[0].epoch}"{" open" if group is shown[-1] else ""}><summary>After epoch {group[0].epoch:,}'
        f'</summary><div class="texts">{"".join(map(_sample, group))}</div></details>'
        for group in shown
    ]
    return [stepper, '<div class="folds">', *folds, "</div>"]


def _sample(sample: SampleText) -> str:
    rest = sample.text.removeprefix(sample.prompt)
    prompt = f"<b>{escaped(sample.prompt)}</b>" if sample.prompt else ""
    return f"<article><h3>diversity {sample.diversity:g}</h3><p>{prompt}{escaped(rest)}</p></article>"


def _drawn(record: RunRecord, judgement: Judgement) -> list[str]:
    """Return the facts about new texts, and the texts with their copies marked."""
    texts = [_marked(text, copied) for text, copied in zip(judgement.texts, _copied(judgement), strict=True)]
    if record.metadata["reading"] == "line":
        box = f'<ul class="lines">{"".join(f"<li>{text}</li>" for text in texts)}</ul>'
    else:
        box = f'<div class="texts">{"".join(f"<p>{text}</p>" for text in texts)}</div>'
    return [f'<dl class="facts">{_terms(_drawn_facts(judgement))}</dl>', box]


def _drawn_facts(judgement: Judgement) -> Iterator[tuple[str, str]]:
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
    more = ", ..." if len(distinct) > MAX_LINES else ""
    return f"{len(some):,} of {of:,}{': ' if distinct else ''}{', '.join(distinct[:MAX_LINES])}{more}"


def _copied(judgement: Judgement) -> Iterator[list[bool]]:
    """Yield for each text which of its characters are copied from the corpus."""
    exact = set(judgement.novelty.exact)
    for number, text in enumerate(judgement.texts):
        copied = [text in exact] * len(text)
        for span in judgement.novelty.copies:
            if span.number == number:
                copied[span.start : span.start + len(span.text)] = [True] * len(span.text)
        yield copied


def _marked(text: str, copied: Sequence[bool]) -> str:
    """Return the markup of a text whose copied characters are marked."""
    cuts = [0, *(position for position in range(1, len(text)) if copied[position] != copied[position - 1]), len(text)]
    pieces = [(escaped(text[first:last]), copied[first]) for first, last in pairwise(cuts) if last > first]
    return "".join(f"<mark>{piece}</mark>" if marked else piece for piece, marked in pieces)


def _evaluation(evaluation: Evaluation) -> list[str]:
    figures = [(row, row.quality) for row in evaluation[1]]
    most = max(quality.bits_per_character for _, quality in figures) or 1.0
    cells = [
        f'<tr class="{"own" if row.kind == "model" else "other"}"><th scope="row">{escaped(row.name)}</th>'
        f"<td>{quality.cross_entropy:.4f}</td><td>{quality.bits_per_character:.4f}</td><td>{quality.shown_perplexity}</td>"
        f'<td class="bar"><svg viewBox="0 0 {BAR} 8" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect width="{BAR * quality.bits_per_character / most:.2f}" height="8"/></svg></td></tr>'
        for row, quality in figures
    ]
    header = "".join(f'<th scope="col">{one}</th>' for one in ("model", "nats/char", "bits/char", "perplexity"))
    head = f'<thead><tr>{header}<td class="bar">bits</td></tr></thead>'
    return [_wide(f'<table class="numbers">{head}<tbody>{"".join(cells)}</tbody></table>', "Quality")]


def _trained(record: RunRecord) -> list[str]:
    reasons = "".join(f"<li>{escaped(reason)}</li>" for reason in record.reasons)
    changed = [
        (one.name, _value(one.value), _value(one.default) or "none", one.help) for one in changed_settings(record.settings)
    ]
    rows = [[text[:LONGEST_VALUE] for text in row] for row in changed]
    table = _table(("setting", "value", "default", "meaning"), rows, kind="settings")
    return [
        f'<dl class="facts">{_terms(_facts(record))}</dl>',
        f"<h3>Settings that differ from the defaults</h3>{table}" if rows else "",
        f"<h3>Why they were chosen</h3><ul>{reasons}</ul>" if reasons else "",
    ]


def _commands(record: RunRecord, run_name: str) -> list[str]:
    labels = record.metadata["vocabulary"].labels
    label = f" --label {shlex.quote(labels[0])}" if labels else ""
    commands = {
        "Write more text:": f"chargen sample --run {run_name}{label} --temp 0.8",
        "Share it as a page that runs in any browser:": f"chargen export {run_name} --output network.html",
        "Measure it on another text:": f"chargen evaluate {run_name} FILE",
        "Train further from its weights, on any text:": f"chargen train FILE --from {run_name}",
    }
    if record.classifies:
        commands = {"Predict the label of a text:": f'chargen classify "some text" --run {run_name}'}
    return [f"<p>{what}</p><pre><code>{escaped(line)}</code></pre>" for what, line in commands.items()]


def _terms(pairs: Iterator[tuple[str, str]]) -> str:
    return "".join(f"<div><dt>{escaped(name)}</dt><dd>{_short(value)}</dd></div>" for name, value in pairs)


def _short(text: str) -> str:
    return escaped(text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}\u2026")


def _table(header: Sequence[str], rows: Sequence[Sequence[str]], *, kind: str) -> str:
    head = "".join(f'<th scope="col">{escaped(one)}</th>' for one in header)
    body = "".join(
        f'<tr><th scope="row">{escaped(first)}</th>{"".join(f"<td>{escaped(one)}</td>" for one in rest)}</tr>'
        for first, *rest in rows
    )
    return _wide(f'<table class="{kind}"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>', kind.capitalize())


def _wide(table: str, name: str) -> str:
    """Return a table that scrolls on a narrow screen, also by the keyboard."""
    return f'<div class="wide" role="region" tabindex="0" aria-label="{name}">{table}</div>'

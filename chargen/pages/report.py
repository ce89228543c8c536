"""Build the page of `chargen report`: the settings, curves, samples and quality of one run in one file."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

from chargen.pages.charts import Chart, chart_data, draw, selection
from chargen.pages.page import escaped, make_page

MAX_EPOCHS = 200  # epochs with sample texts and figures in a page
LONGEST_VALUE = 300  # characters of a setting or a name
BAR = 100  # width of the longest bar


class Sample(NamedTuple):
    """A text drawn after an epoch; it begins with the prompt."""

    epoch: int
    diversity: float
    prompt: str
    text: str


class Figures(NamedTuple):
    """The figures of one protocol or baseline. kind: "model" or "baseline"."""

    name: str
    kind: str
    cross_entropy: float
    bits_per_character: float
    perplexity: str


class Piece(NamedTuple):
    """A span of a drawn text."""

    text: str
    copied: bool


class Command(NamedTuple):
    """A command for a next step, and what it does."""

    what: str
    line: str


@dataclass(frozen=True, kw_only=True)
class Contents:
    """The contents of the page as plain text, none of it trusted.

    tiles, facts: names and values. settings: name, value, default and description of each changed setting. table: the figures
    of each epoch, the header first. drawn: new texts, in pieces; drawn_lines: whether each is a line. notes: by name of a
    section, a text instead of it or in addition to it.
    """

    title: str
    subtitle: str
    tiles: Sequence[tuple[str, str]]
    facts: Sequence[tuple[str, str]]
    reasons: Sequence[str]
    settings: Sequence[tuple[str, str, str, str]]
    curves: Sequence[Chart]
    table: Sequence[Sequence[str]]
    samples: Sequence[Sample]
    gradients: Sequence[Chart]
    evaluation: Sequence[Figures]
    drawn_facts: Sequence[tuple[str, str]]
    drawn: Sequence[Sequence[Piece]]
    drawn_lines: bool
    commands: Sequence[Command]
    notes: Mapping[str, str]


def report_page(contents: Contents) -> str:
    """Return the page of a run."""
    parts = [
        f"<header>\n<h1>{_short(contents.title)}</h1><p>{_short(contents.subtitle)}</p>",
        f'<dl class="tiles">{_terms(contents.tiles)}</dl>\n</header>\n<main>',
        *_section("curves", "How it learned", contents, _curves(contents)),
        *_section("samples", "What it wrote during training", contents, _samples(contents.samples)),
        *_section("drawn", "What it writes now, and how much is copied", contents, _drawn(contents)),
        *_section("evaluation", "How well it predicts", contents, _evaluation(contents.evaluation)),
        *_section("gradients", "Gradients", contents, [draw(chart) for chart in contents.gradients]),
        *_section("trained", "Settings", contents, _trained(contents)),
        *_section("commands", "Next steps", contents, _commands(contents.commands)),
        "</main>",
    ]
    charts = [chart for chart in (*contents.curves, *contents.gradients) if draw(chart)]
    data = {"charts": [chart_data(chart) for chart in charts]}
    return make_page("report", title=f"{contents.title}: report", body="\n".join(parts), data=data)


def _section(name: str, heading: str, contents: Contents, content: Sequence[str]) -> Iterator[str]:
    """Yield a section of the page with its note; nothing if both are empty."""
    note = contents.notes.get(name)
    if not any(content) and not note:
        return
    yield f'<section id="{name}">\n<h2>{heading}</h2>'
    if note:
        yield f'<p class="note">{escaped(note)}</p>'
    yield from content
    yield "</section>"


def _curves(contents: Contents) -> list[str]:
    header, *rows = contents.table or [[]]
    if not rows:
        return []
    shown = [rows[place] for place in selection(len(rows), MAX_EPOCHS)]
    table = _table(header, shown, kind="numbers")
    return [*map(draw, contents.curves), f"<details><summary>Figures of each epoch</summary>{table}</details>"]


def _samples(samples: Sequence[Sample]) -> list[str]:
    """Return a fold for each epoch; the page's script turns them into one place with a slider."""
    epochs = [list(group) for _, group in groupby(samples, key=lambda sample: sample.epoch)]
    shown = [epochs[place] for place in selection(len(epochs), MAX_EPOCHS)]
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


def _sample(sample: Sample) -> str:
    rest = sample.text.removeprefix(sample.prompt)
    prompt = f"<b>{escaped(sample.prompt)}</b>" if sample.prompt else ""
    return f"<article><h3>diversity {sample.diversity:g}</h3><p>{prompt}{escaped(rest)}</p></article>"


def _drawn(contents: Contents) -> list[str]:
    if not contents.drawn:
        return []
    texts = ("".join(map(_piece, text)) for text in contents.drawn)
    kind, tag = ("lines", "li") if contents.drawn_lines else ("texts", "p")
    listed = "".join(f"<{tag}>{text}</{tag}>" for text in texts)
    box = f'<ul class="lines">{listed}</ul>' if kind == "lines" else f'<div class="texts">{listed}</div>'
    return [f'<dl class="facts">{_terms(contents.drawn_facts)}</dl>', box]


def _piece(piece: Piece) -> str:
    return f"<mark>{escaped(piece.text)}</mark>" if piece.copied else escaped(piece.text)


def _evaluation(rows: Sequence[Figures]) -> list[str]:
    if not rows:
        return []
    most = max(row.bits_per_character for row in rows) or 1.0
    cells = [
        f'<tr class="{"own" if row.kind == "model" else "other"}"><th scope="row">{escaped(row.name)}</th>'
        f"<td>{row.cross_entropy:.4f}</td><td>{row.bits_per_character:.4f}</td><td>{row.perplexity}</td>"
        f'<td class="bar"><svg viewBox="0 0 {BAR} 8" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect width="{BAR * row.bits_per_character / most:.2f}" height="8"/></svg></td></tr>'
        for row in rows
    ]
    header = "".join(f'<th scope="col">{one}</th>' for one in ("", "nats/char", "bits/char", "perplexity"))
    head = f'<thead><tr>{header}<td class="bar">bits</td></tr></thead>'
    return [f'<div class="wide"><table class="numbers">{head}<tbody>{"".join(cells)}</tbody></table></div>']


def _trained(contents: Contents) -> list[str]:
    reasons = "".join(f"<li>{escaped(reason)}</li>" for reason in contents.reasons)
    header = ("setting", "value", "default", "meaning")
    rows = [[text[:LONGEST_VALUE] for text in row] for row in contents.settings]
    return [
        f'<dl class="facts">{_terms(contents.facts)}</dl>',
        f"<h3>Settings that differ from the defaults</h3>{_table(header, rows, kind='settings')}" if rows else "",
        f"<h3>Why they were chosen</h3><ul>{reasons}</ul>" if reasons else "",
    ]


def _commands(commands: Sequence[Command]) -> list[str]:
    return [f"<p>{escaped(one.what)}</p><pre><code>{escaped(one.line)}</code></pre>" for one in commands]


def _terms(pairs: Sequence[tuple[str, str]]) -> str:
    return "".join(f"<div><dt>{escaped(name)}</dt><dd>{_short(value)}</dd></div>" for name, value in pairs)


def _short(text: str) -> str:
    return escaped(text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}\u2026")


def _table(header: Sequence[str], rows: Sequence[Sequence[str]], *, kind: str) -> str:
    head = "".join(f'<th scope="col">{escaped(one)}</th>' for one in header)
    body = "".join(
        f'<tr><th scope="row">{escaped(first)}</th>{"".join(f"<td>{escaped(one)}</td>" for one in rest)}</tr>'
        for first, *rest in rows
    )
    return f'<div class="wide"><table class="{kind}"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from chargen.cli.completing import complete_texts
from chargen.cli.json_text import json_text
from chargen.cli.options import (
    ABOUT_THE_CALL,
    LongCommand,
    common_options,
    json_option,
    option_layers,
    section_options,
    write_output,
)
from chargen.cli.tables import aligned
from chargen.settings.layers import resolve
from chargen.terminal import echo, visible

if TYPE_CHECKING:
    from chargen.insight.inspection import Inspection
    from chargen.insight.text_facts import Bar, RareCharacter

MAX_FILES = 20  # files and rare characters shown in text output
MOST_SCRIPTS = 4
BAR_WIDTH = 40  # characters of the longest bar


COMMON = {
    "Text": ("--per-line", "--document", "--separator", "--glob", "--encoding", "--format", "--tokens"),
    "Output": ("--write", "--json", *ABOUT_THE_CALL),
}


@click.command("inspect", cls=LongCommand, common=COMMON)
@click.argument("files", nargs=-1, required=True, metavar="TEXT...", shell_complete=complete_texts)
@section_options("corpus")
@click.option(
    "--write",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write the text as training would read it to FILE, in UTF-8; <|endoftext|> separates documents.",
)
@json_option
@common_options
def command(files: tuple[str, ...], write: Path | None, as_json: bool, verbosity: int, **given: Any) -> None:
    """Show how training would read TEXT: a file, a folder, a shipped corpus, or - for stdin.

    Reports encoding, documents, lengths, characters, copies, the held-out part, the settings that training would choose, and
    possible problems. Nothing is trained.

    \b
      chargen inspect names.txt
      chargen inspect articles/ --glob '**/*.md' --json
      chargen inspect mixed.txt --write clean.txt
    """
    from chargen.insight.inspection import inspect_text
    from chargen.training.planning.recipes import default_reasons

    resolved = resolve(*option_layers(files, None, given))
    inspection = inspect_text(resolved.settings)
    reasons = default_reasons(inspection.corpus, resolved)
    if write:
        write_output(write, inspection.clean_text(), option="--write")
    if as_json:
        echo(json_text(inspection.to_mapping() | {"training": list(reasons)}))
    else:
        for section in _sections(inspection, reasons):
            echo(section)


def _sections(inspection: "Inspection", reasons: Sequence[str]) -> Iterator[str]:
    """Yield the report, section by section."""
    yield from inspection.corpus.notes
    yield "" if inspection.corpus.notes else _files(inspection)
    if inspection.corpus.notes:
        yield _files(inspection)
    yield _facts(inspection, reasons)
    if len(inspection.corpus.documents) > 1:
        yield f"\nlengths of the documents, in characters\n{_histogram(inspection.histogram)}"
    if inspection.rare:
        yield f"\nrare characters ({inspection.counts.num_rare:,})\n{_rare(inspection)}"
    warnings = list(inspection.warnings())
    if warnings:
        yield "\n" + "\n".join(f"warning: {line}" for line in warnings)


def _files(inspection: "Inspection") -> str:
    heading = ("file", "encoding", "read by", "documents", "characters")
    rows = [
        (one.file.name, one.file.encoding, one.file.reading, f"{one.file.documents:,}", f"{one.characters:,}")
        for one in inspection.files[:MAX_FILES]
    ]
    more = len(inspection.files) - MAX_FILES
    return aligned([heading, *rows]) + (f"\n{more:,} more files; --json lists all" if more > 0 else "")


def _facts(inspection: "Inspection", reasons: Sequence[str]) -> str:
    corpus, counts = inspection.corpus, inspection.counts
    scripts = list(counts.scripts().items())[:MOST_SCRIPTS]
    common = " ".join(_shown(one) for one, _ in counts.most_common()[:20])
    held_out = sum(len(document.text) for document in inspection.held_out)
    rows = [
        ("documents", f"{len(corpus.documents):,}, of which {inspection.copies:,} are copies of earlier ones"),
        ("characters", f"{corpus.num_characters:,}, {len(counts.counts):,} distinct"),
        ("most common", common),
        ("scripts", ", ".join(f"{script} {share:.1%}" for script, share in scripts) or "no letters"),
        ("lengths", "  ".join(f"{name} {value:,}" for name, value in inspection.lengths.quantiles().items())),
        ("held out", f"{held_out:,} characters in {len(inspection.held_out):,} pieces (--validation-split, --validation)"),
        *(("labels", ", ".join(corpus.labels)) for _ in range(bool(corpus.labels))),
        *(("training" if number == 0 else "", line) for number, line in enumerate(reasons)),
    ]
    return "\n" + aligned(rows)


def _histogram(bars: "Sequence[Bar]") -> str:
    most = max(bar.documents for bar in bars)
    rows = [(_span(bar), f"{bar.documents:,}", _bar(bar.documents, most)) for bar in bars]
    width = [max(len(row[column]) for row in rows) for column in (0, 1)]
    return "\n".join(f"  {span:>{width[0]}}  {documents:>{width[1]}}  {bar}".rstrip() for span, documents, bar in rows)


def _span(bar: "Bar") -> str:
    return f"{bar.low:,} to {bar.high:,}" if bar.high > bar.low else f"{bar.low:,}"


def _bar(count: int, most: int) -> str:
    return "#" * round(BAR_WIDTH * count / most) or "." * bool(count)


def _rare(inspection: "Inspection") -> str:
    return aligned([_rare_row(one, inspection.place_of(one)) for one in inspection.rare[:MAX_FILES]])


def _rare_row(rare: "RareCharacter", place: dict[str, Any]) -> tuple[str, ...]:
    where = place.get("file", "")
    if "line" in place:
        where += f", line {place['line']:,}, column {place['column']:,}"
    code = f"U+{ord(rare.character):04X}"
    return f"  {_shown(rare.character)}", code, f"{rare.occurrences}x", where, visible(repr(place.get("around", "")))


def _shown(character: str) -> str:
    if character == " ":
        return "space"
    return repr(character)[1:-1] if character.isspace() else visible(character)

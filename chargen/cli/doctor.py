from pathlib import Path
from typing import Any

import click

from chargen.cli.json_text import json_text
from chargen.cli.options import common_options, json_option, runs_dir_option
from chargen.cli.tables import aligned
from chargen.terminal import echo


@click.command("doctor")
@runs_dir_option
@json_option
@common_options
def command(runs_dir: Path, as_json: bool, verbosity: int) -> None:
    """Show what chargen uses on this machine: versions, devices, C kernels, folders, and what can be installed.

    The kernels are recurrent layers in C. They come with the wheel, or your C compiler builds them once, in some seconds.
    """
    from chargen.doctor import examine

    facts = examine(runs_dir)
    echo(json_text(facts) if as_json else aligned(list(_rows(facts, runs_dir))))


def _rows(facts: dict[str, Any], runs_dir: Path) -> list[tuple[str, str]]:
    packages = [f"{name} {found}" for name, found in facts["packages"].items()]
    cache, memory = facts["cache"], facts["free_memory_bytes"]
    rows = [
        ("chargen", f"{facts['chargen']}, Python {facts['python']}, {facts['system']}"),
        ("processor", f"{facts['processor']}; {facts['cores']} cores"),
        ("GPU", ", ".join(facts["gpus"]) or "none found"),
        *[
            ("packages" if not number else "", ", ".join(packages[number : number + 6]))
            for number in range(0, len(packages), 6)
        ],
        *[(f"{products} kernels", found) for products, found in facts["kernels"].items()],
        ("C compiler", facts["compiler"] or "none"),
        ("cache", f"{cache['folder']}, {cache['bytes'] / 1e6:,.1f} MB"),
        ("disk", f"{facts['free_disk_bytes'] / 1e9:,.1f} GB free for {runs_dir}"),
        ("memory", f"{memory / 1e9:,.1f} GB free" if memory is not None else "unknown"),
    ]
    return rows + [("advice" if not number else "", line) for number, line in enumerate(facts["advice"])]

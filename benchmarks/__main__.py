"""Measure chargen: `python -m benchmarks [startup|sample] [--json]`; all of it unless one is named."""

import json
import sys
from collections.abc import Callable
from typing import Any

import click

from benchmarks import sample, startup
from benchmarks.machine import describe_machine

BENCHMARKS: dict[str, Callable[[], list[dict[str, Any]]]] = {"startup": startup.measure, "sample": sample.measure}


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(list(BENCHMARKS)))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def main(names: tuple[str, ...], as_json: bool) -> None:
    """Measure NAMES, or everything, and print medians with the smallest and largest of all repetitions."""
    rows = [row for name in names or BENCHMARKS for row in BENCHMARKS[name]()]
    report = {"machine": describe_machine(), "rows": rows}
    if as_json:
        click.echo(json.dumps(report, indent=1))
        return
    click.echo(f"{report['machine']}\n", file=sys.stdout)
    for row in rows:
        click.echo(f"{row['what']:48}  {row['median']:>11,.3f} {row['unit']:8}  ({row['min']:,.3f} to {row['max']:,.3f})")


main()

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from chargen.cli.completing import complete_runs
from chargen.cli.measuring import ProgressBars, use_one_thread
from chargen.cli.options import common_options, runs_dir_option, write_output
from chargen.terminal import echo

if TYPE_CHECKING:
    from chargen.runs.directory import RunDirectory


@click.command("report")
@click.argument("run_specs", nargs=-1, metavar="[RUN]...", shell_complete=complete_runs)
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="File to write; an existing file is replaced.  [default: report.html in the run's folder]",
)
@click.option("--evaluation/--no-evaluation", default=True, show_default=True, help="Measure the run as chargen evaluate does.")
@runs_dir_option
@common_options
def command(run_specs: tuple[str, ...], output: Path | None, evaluation: bool, runs_dir: Path, verbosity: int) -> None:
    """Write a page about a run: loss curves, sample texts, how new they are, and how well it predicts.

    It also shows the gradients, the corpus and network, and the settings that differ from the defaults. The page is one HTML
    file that loads nothing; its path is printed to stdout. The same run gives the same page. RUN is a run's name, its path, or
    a model file; the newest run unless given. Of several, the page is about the first, and the curves of the others are beside.

    \b
      chargen report
      chargen report names-lstm names-gru
      chargen report male-lstm-20260101-120000 --output names.html --no-evaluation
    """
    use_one_thread()
    from chargen.insight.embedding import read_embedding
    from chargen.insight.report import evaluate_run, judge_fresh_texts, read_record, result_or_reason
    from chargen.network.model_file import load_model
    from chargen.pages.report import report_page
    from chargen.runs.directory import find_model

    path, *beside = [find_model(spec, runs_dir) for spec in run_specs or [None]]
    record, measured, judgement, embedding = read_record(path), None, None, None
    if not record.classifies:
        model, bars = load_model(path), ProgressBars(verbosity)
        if evaluation:
            measured, record.notes["evaluation"] = result_or_reason(lambda: evaluate_run(record.run, model, bars.stage))
        with bars.stage("copies", 1):
            judgement, record.notes["drawn"] = result_or_reason(lambda: judge_fresh_texts(path, model))
        first = model.member(1)
        embedding = read_embedding(first) if first.one_network.config.embedding_size else None
    run_name = shlex.quote(str(_run_name(path, record.run)))
    page = report_page(
        record, measured, judgement, embedding=embedding, run_name=run_name, others=list(map(read_record, beside))
    )
    target = output or record.run.report
    write_output(target, page)
    echo(str(target))


def _run_name(path: Path, run: "RunDirectory") -> Path:
    """Return the name of the model for other commands: its run, or its file if it is not the run's best model.

    A path in the current folder is relative to it, so that the page does not name the folders above.
    """
    name = (run.path if path == run.model else path).absolute()
    return name.relative_to(Path.cwd()) if name.is_relative_to(Path.cwd()) else name

from pathlib import Path

import click

from chargen.cli.completing import complete_runs
from chargen.cli.measuring import use_one_thread
from chargen.cli.options import common_options, runs_dir_option
from chargen.cli.sampling import carry_option
from chargen.errors import ConfigError
from chargen.terminal import echo


@click.command("serve")
@click.argument("run_spec", metavar="[RUN]", required=False, shell_complete=complete_runs)
@click.option(
    "--host", default="127.0.0.1", show_default=True, help="Address to listen on; the default serves only this machine."
)
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="Port; 0 chooses a free one.")
@click.option(
    "--max-length",
    type=click.IntRange(1),
    default=10_000,
    show_default=True,
    metavar="N",
    help="Longest text of a request, in characters.",
)
@click.option(
    "--max-concurrent",
    type=click.IntRange(1),
    default=100,
    show_default=True,
    metavar="N",
    help="Requests answered at a time; others get status 429.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(0, min_open=True, max=86_400),
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="Longest time of a request.",
)
@carry_option
@runs_dir_option
@common_options
def command(
    run_spec: str | None,
    host: str,
    port: int,
    max_length: int,
    max_concurrent: int,
    timeout: float,
    carry: bool | None,
    runs_dir: Path,
    verbosity: int,
) -> None:
    """Serve a page to write with, and an API, until Ctrl-C.

    RUN is a run's name, its path, or a model file; the newest run unless given. The page's address is printed to stdout; -v
    logs requests to stderr.

    \b
      chargen serve
      chargen serve male-lstm-20260101-120000 --port 0
      curl -s http://127.0.0.1:8000/api/complete -d '{"prompt": "Har", "temperature": 0.8}'
    """
    use_one_thread()
    try:
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError:
        raise ConfigError("chargen serve needs starlette and uvicorn", hint="pip install 'chargen[serve]'") from None
    from chargen.network.model_file import load_model
    from chargen.runs.directory import find_model
    from chargen.serving.address import listen
    from chargen.serving.server import serve
    from chargen.serving.service import Limits

    path = find_model(run_spec, runs_dir)
    model = load_model(path).with_carry(carry)
    address = listen(host, port)
    if verbosity:
        echo(f"serving {path} at {address.url} until Ctrl-C", err=True)
    if not address.is_local:
        echo(f"warning: everyone who can reach {host} can use it; there is no password and no encryption", err=True)
    echo(address.url)
    limits = Limits(length=max_length, concurrent=max_concurrent, seconds=timeout)
    serve(model, limits, address, log=lambda line: echo(line, err=True), verbose=verbosity > 1)

from collections.abc import Sequence
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from chargen.cli.completing import complete_runs
from chargen.cli.measuring import use_one_thread
from chargen.cli.options import common_options, runs_dir_option
from chargen.cli.reading import model_name
from chargen.cli.sampling import carry_option, memory_option
from chargen.errors import ConfigError
from chargen.terminal import echo

if TYPE_CHECKING:
    from chargen.insight.novelty import NoveltyJudge
    from chargen.serving.access import Access
    from chargen.serving.address import Address
    from chargen.serving.service import Novelty


@click.command("serve")
@click.argument("run_specs", nargs=-1, metavar="[RUN]...", shell_complete=complete_runs)
@click.option(
    "--host", default="127.0.0.1", show_default=True, help="Address to listen on; the default serves only this machine."
)
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="Port; 0 chooses a free one.")
@click.option(
    "--unix-socket", type=click.Path(path_type=Path), help="Listen on a Unix socket instead, for a proxy on this machine."
)
@click.option(
    "--public-url",
    "public_urls",
    multiple=True,
    metavar="URL",
    help="Address under which a proxy offers the server, such as https://example.org/names; may be given several times.",
)
@click.option(
    "--allow-host",
    "hosts",
    multiple=True,
    metavar="NAME",
    help="Also answer requests for this host; may be repeated.",
)
@click.option(
    "--allow-origin",
    "origins",
    multiple=True,
    metavar="ORIGIN",
    help="Also answer pages of this origin, such as https://example.org, or * for all; may be given several times.",
)
@click.option("--token", metavar="TOKEN", help="Answer only requests with this token (Authorization: Bearer TOKEN).")
@click.option("--no-token", is_flag=True, help="Serve other machines without a token.")
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
    help="Requests answered at a time; the next 1000 wait, others get status 429.",
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
@memory_option
@runs_dir_option
@common_options
def command(
    run_specs: tuple[str, ...],
    host: str,
    port: int,
    unix_socket: Path | None,
    public_urls: tuple[str, ...],
    hosts: tuple[str, ...],
    origins: tuple[str, ...],
    token: str | None,
    no_token: bool,
    max_length: int,
    max_concurrent: int,
    timeout: float,
    carry: bool | None,
    memory: float | None,
    runs_dir: Path,
    verbosity: int,
) -> None:
    """Serve a page to write with, and an API, until Ctrl-C.

    RUN is a run's name, its path, or a model file; the newest run unless given. Of several, the first is at the root, and each
    at models/NAME/. The page's address is printed to stdout; -v logs requests to stderr.

    \b
      chargen serve
      chargen serve male-lstm-20260101-120000 --port 0
      curl -s http://127.0.0.1:8000/api/complete -d '{"prompt": "Har", "temperature": 0.8}'
      CHARGEN_SERVE_TOKEN=secret chargen serve --host 0.0.0.0
      chargen serve --unix-socket names.sock --public-url https://example.org/names
    """
    use_one_thread()
    try:
        import prometheus_client  # noqa: F401
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError:
        hint = "pip install 'chargen[serve]'"
        raise ConfigError("chargen serve needs starlette, uvicorn and prometheus-client", hint=hint) from None
    from chargen.network.model_file import load_model
    from chargen.serving.access import Access, read_public_url
    from chargen.serving.address import listen, listen_on_file
    from chargen.serving.limits import Limits
    from chargen.serving.server import serve

    public = tuple(map(read_public_url, public_urls))
    paths = _find(run_specs, runs_dir)
    models = [(name, load_model(path).with_carry(carry).with_memory(memory)) for name, path in paths.items()]
    novelty = {name: _novelty(paths[name], model.reading) for name, model in models}
    address = listen(host, port) if unix_socket is None else listen_on_file(unix_socket)
    try:
        _require_token(address, token, no_token=no_token)
    except ConfigError:
        address.listener.close()
        raise
    access = Access(address=address, public_urls=public, hosts=hosts, origins=origins, token=token)
    if verbosity:
        echo(f"serving {', '.join(name for name, _ in models)} at {address.url} until Ctrl-C", err=True)
    echo(_shown_url(access, public_urls))
    limits = Limits(length=max_length, concurrent=max_concurrent, seconds=timeout)
    serve(models, limits, access, log=lambda line: echo(line, err=True), verbose=verbosity > 1, novelty=novelty)


def _find(run_specs: Sequence[str], runs_dir: Path) -> dict[str, Path]:
    """Return the model files by name: the folder of a run, or the name of a model file."""
    from chargen.runs.directory import find_model

    paths: dict[str, Path] = {}
    for spec in run_specs or (None,):
        path = find_model(spec, runs_dir)
        name = model_name(path)
        if name in paths:
            raise ConfigError(f"two models are called {name}", hint="serve one of them, or rename its file")
        paths[name] = path
    return paths


def _novelty(path: Path, reading: str) -> "Novelty":
    """Return the function that finds whether texts are new to a run's corpus, which is read when it is first needed."""

    @cache
    def judge() -> "NoveltyJudge":
        from chargen.insight.novelty import NoveltyJudge
        from chargen.runs.trained_text import training_texts

        return NoveltyJudge(training_texts([path]), reading)

    return lambda copy_length: partial(judge().is_new, copy_length=copy_length)


def _require_token(address: "Address", token: str | None, *, no_token: bool) -> None:
    """Raise ConfigError if other machines can reach the server without a token."""
    if token == "":
        raise ConfigError("--token is empty, expected a text", hint="leave it out to serve without a token")
    if token is None and not no_token and not address.is_local:
        raise ConfigError(
            f"--host {address.host} lets other machines in, but there is no --token",
            hint="set CHARGEN_SERVE_TOKEN, or serve everyone with --no-token",
        )


def _shown_url(access: "Access", public_urls: Sequence[str]) -> str:
    """Return the address of the page; with a token, the page needs it in its address once."""
    url = f"{public_urls[0].rstrip('/')}/" if public_urls else access.address.url
    return url if access.token is None else f"{url}?token={access.token}"

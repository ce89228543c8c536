"""Complete the names of runs, corpora, configs and files in a shell.

A shell waits for this at each Tab, so nothing here imports NumPy.
"""

from collections.abc import Iterable
from pathlib import Path

import click
from click.shell_completion import BashComplete, CompletionItem

from chargen.shipped import shipped_files, shipped_models


class Bash(BashComplete):
    """Complete --cell=gru in bash, which takes the = for a word of its own; Click does not know that."""

    def get_completion_args(self) -> tuple[list[str], str]:
        words, incomplete = super().get_completion_args()
        return [one for one in words if one != "="], incomplete


def complete_runs(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Offer the trained runs, the newest first, or files."""
    return _names_or_files([*_runs(context, "model.safetensors"), *shipped_models()], incomplete)


def complete_resumable(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Offer the runs that can be resumed."""
    return _names_or_files(_runs(context, "checkpoints"), incomplete)


def complete_runs_and_texts(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Offer the trained runs and the files of this folder."""
    return _names_and_files(_runs(context, "model.safetensors"), incomplete)


def complete_texts(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Offer the corpora that are found by name, and the files of this folder."""
    from chargen.corpus.fetching import PUBLIC_TEXTS, fetched_path

    fetched = [text.name for text in PUBLIC_TEXTS if fetched_path(text)]
    return _names_and_files([path.name for path in shipped_files("corpora")] + fetched, incomplete)


def complete_corpora(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Offer the corpora that are found by name, and those that can be fetched."""
    from chargen.corpus.fetching import PUBLIC_TEXTS

    names = [path.name for path in shipped_files("corpora")] + [text.name for text in PUBLIC_TEXTS]
    return _starting(names, incomplete)


def complete_configs(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Offer the shipped configs, or files."""
    return _names_or_files([path.stem for path in shipped_files("configs")], incomplete)


def complete_files(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Let the shell complete files."""
    return [CompletionItem(incomplete, type="file")]


def _runs(context: click.Context, holding: str) -> list[str]:
    """Return the runs with a file or folder of a name, the one whose file is newest first."""
    root = Path(context.params.get("runs_dir") or "runs")
    found = [(path.stat().st_mtime_ns, path.parent.name) for path in root.glob(f"*/{holding}")]
    return [name for _, name in sorted(found, reverse=True)]


def _starting(names: Iterable[str], incomplete: str) -> list[CompletionItem]:
    return [CompletionItem(name) for name in dict.fromkeys(names) if name.startswith(incomplete)]


def _names_or_files(names: Iterable[str], incomplete: str) -> list[CompletionItem]:
    return _starting(names, incomplete) or [CompletionItem(incomplete, type="file")]


def _names_and_files(names: Iterable[str], incomplete: str) -> list[CompletionItem]:
    """Offer names and the files of this folder; if no name fits, let the shell complete files in other folders too."""
    if not any(name.startswith(incomplete) for name in names):
        return [CompletionItem(incomplete, type="file")]
    here = sorted(path.name + "/" * path.is_dir() for path in Path().iterdir())
    shown = [name for name in here if not name.startswith(".")]
    return _starting([*names, *shown], incomplete)

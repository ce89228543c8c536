"""The text that a run was trained on, found again by its config.toml and held against its sha256."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from chargen.config import CorpusConfig
from chargen.corpus.documents import digest_of, read_corpus
from chargen.corpus.reading import STDIN, SourceText
from chargen.errors import ChargenError, CorpusError, RunError
from chargen.network.model_file import read_metadata
from chargen.resolution import read_config, resolve
from chargen.run import RunDirectory


def training_texts(models: Sequence[Path]) -> list[SourceText]:
    """Return the texts that some models were trained on, each corpus once.

    They are looked for from the current folder and from the one in which the run's folder of runs lies. Raises RunError for a
    model whose run does not say what it was trained on, and CorpusError for a text that is gone or has changed.
    """
    digests: dict[Any, Path] = {}
    for model in models:
        digests.setdefault(read_metadata(model)["provenance"].get("sha256"), model)
    return [source for digest, model in digests.items() for source in _find(RunDirectory(model.parent), digest)]


def _find(run: RunDirectory, digest: Any) -> list[SourceText]:
    if not run.config.is_file():
        raise RunError(f"{run.path} has no config.toml, which names the text that it was trained on")
    config = resolve(read_config(str(run.config))).settings.corpus
    if STDIN in config.files:
        raise CorpusError(f"{run.path} was trained on standard input, which is kept nowhere", hint="train it on a file")
    failure: ChargenError | None = None
    for candidate in _candidates(config, run):
        try:
            sources = [source for _, source in read_corpus(candidate)]
        except CorpusError as error:
            failure = failure or error
            continue
        if digest_of(sources) == digest:
            return sources
        failure = CorpusError("it has changed since")
    assert failure is not None
    raise CorpusError(
        f"the text that {run.path} was trained on cannot be used: {failure.message}", hint="put it back as it was, where it was"
    ) from failure


def _candidates(config: CorpusConfig, run: RunDirectory) -> Iterator[CorpusConfig]:
    """Yield the corpus as the config names it, then as seen from where the run was made, if that is another folder."""
    yield config
    folder = run.path.resolve().parent.parent
    if folder != Path.cwd():
        there = [tuple(_seen_from(folder, name) for name in names) for names in (config.files, config.mix)]
        yield replace(config, files=there[0], mix=there[1])


def _seen_from(folder: Path, name: str) -> str:
    """Return a file's name, or PATH:WEIGHT, as it has to be from here; a shipped text's stays."""
    found = [path for path in (name, name.rpartition(":")[0]) if path and (folder / path).exists()]
    return str(folder / name) if found else name

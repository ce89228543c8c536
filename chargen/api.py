"""Offer chargen to Python programs: `chargen.train`, `chargen.resume`, `chargen.load` and what they return.

Keywords are named as the flags of the command line are, and the results are the same, byte for byte.

>>> import chargen
>>> run = chargen.train("tiny.txt", cell="gru", hidden_size=24, epochs=2, backend="numpy", quiet=True)
>>> text = run.generate("The ", length=60, temperature=0.8, random_seed=7)
>>> text.startswith("The "), len(text)
(True, 64)

Later, or elsewhere, the run is found by its path or its name, as `chargen sample --run` finds it:

>>> model = chargen.load(run.path)
>>> model.generate("The ", length=60, temperature=0.8, random_seed=7) == text
True

Whatever a caller can mend is a ChargenError that says how:

>>> chargen.train("tiny.txt", cell="ltsm")
Traceback (most recent call last):
    ...
chargen.errors.ConfigError: cell is 'ltsm', expected one of simplernn, dense, lstm, gru
"""

import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Unpack

from chargen.corpus.vocabulary import Vocabulary
from chargen.errors import ConfigError
from chargen.network.model_file import TextModel, load_model
from chargen.runs.directory import RunDirectory, find_model
from chargen.settings.keywords import SamplingSettings, TrainSettings
from chargen.settings.layers import check_value, keyword_layer, read_config
from chargen.settings.schema import KEYWORDS, Setting
from chargen.tasks.writing import Composition, compose, read_options
from chargen.writing.classifier import label_probabilities, load_labelled
from chargen.writing.ensemble import AVERAGE, AnyModel, join_models, labelled
from chargen.writing.prediction import most_probable
from chargen.writing.prompt import read_prompt

OnUnknown = Literal["error", "skip", "nearest"]
StrPath = str | os.PathLike[str]


def train(
    *files: StrPath,
    config: StrPath | None = None,
    preset: Literal["fast", "balanced", "best"] | None = None,
    minutes: float | None = None,
    runs_dir: StrPath | None = None,
    quiet: bool = False,
    verbose: bool = False,
    **settings: Unpack[TrainSettings],
) -> "Run":
    """Train a network on text files, folders or shipped corpora, and return its run.

    Every setting of `chargen train --help-all` is a keyword. What is not given is chosen from the text as it is there; minutes
    or a preset say for how long. The files of the run are written below runs_dir, $CHARGEN_RUNS or ./runs. Progress goes to
    stderr unless quiet; verbose says more of it. Only this process's main thread can be interrupted: Ctrl-C raises
    KeyboardInterrupt once everything is saved, and `resume` goes on. Raises ChargenError, nearly always before anything is
    trained: ConfigError for settings, CorpusError for texts, RunError for places, TrainingError for a loss that explodes.

    >>> run = chargen.train("male.txt", cell="simplernn", hidden_size=16, epochs=1, backend="numpy", quiet=True)
    >>> run.history[-1]["epoch"], run.settings["network"]["cell"]
    (1, 'simplernn')
    """
    layers = [read_config(os.fspath(config))] if config is not None else []
    if preset is not None:
        check_value("preset", preset, str, Setting(help="", choices=("fast", "balanced", "best")))
    if minutes is not None:
        minutes = check_value("minutes", minutes, float, Setting(help=""))
    return _train(
        [*layers, keyword_layer([os.fspath(file) for file in files], settings)],
        runs_dir=runs_dir,
        verbosity=_verbosity(quiet, verbose),
        configured=config is not None,
        preset=preset,
        minutes=minutes,
    )


def resume(run: StrPath | None = None, *, runs_dir: StrPath | None = None, quiet: bool = False, verbose: bool = False) -> "Run":
    """Go on with a training that was stopped, exactly where it was, and return its run; the newest one unless it is named.

    A training that has come to its end stays as it is. Raises what `train` raises, and RunError where there is no such run.

    >>> chargen.resume(run.path, quiet=True) == run
    True
    """
    spec = os.fspath(run) if run is not None else ""
    return _train([(KEYWORDS, {})], runs_dir=runs_dir, verbosity=_verbosity(quiet, verbose), resume=spec)


def load(
    *runs: StrPath,
    label: str | None = None,
    ensemble: Literal["average", "turns"] = "average",
    carry: bool | None = None,
    runs_dir: StrPath | None = None,
) -> "Model":
    """Load a trained network by the name of its run, the path of its folder, or a model file; the newest run unless named.

    label: which kind of documents to write, for models of labelled ones. Several runs write together, by the average of their
    probabilities or in turns. carry: whether the state is carried from character to character, or the window before each one
    is read from the zero state; as in training unless given. Neither Keras nor a backend is loaded. Raises RunError for a run
    that is missing, and ModelFileError for a file that is damaged or no model that writes.

    >>> chargen.load(run.name).describe()["cell"]
    'gru'
    """
    check_value("ensemble", ensemble, str, Setting(help="", choices=("average", "turns")))
    return Model(_model_paths(runs, runs_dir), label=label, ensemble=ensemble, carry=carry)


def load_classifier(run: StrPath | None = None, *, runs_dir: StrPath | None = None) -> "Classifier":
    """Load a run that can tell labels: one of task="classify", or one that learnt to write with label_by. Raises as `load`."""
    (path,) = _model_paths(() if run is None else (run,), runs_dir)
    return Classifier(path)


class Run:
    """A training's run directory. Two of the same path are equal."""

    def __init__(self, path: StrPath) -> None:
        self._directory = RunDirectory(Path(path))

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Run) and self.path.resolve() == other.path.resolve()

    def __hash__(self) -> int:
        return hash(self.path.resolve())

    @property
    def path(self) -> Path:
        """The folder."""
        return self._directory.path

    @property
    def name(self) -> str:
        """The folder's name, by which `load` and the command line know the run."""
        return self._directory.name

    @property
    def settings(self) -> dict[str, dict[str, Any]]:
        """Every setting as it was resolved, by section."""
        from chargen.runs.trained_text import read_settings

        return read_settings(self._directory).to_mapping()

    @property
    def history(self) -> list[dict[str, Any]]:
        """One row an epoch, as metrics.csv has them. Raises RunError before the first epoch is over.

        >>> sorted(run.history[0])[:3]
        ['bits_per_character', 'characters_per_token', 'cross_entropy']
        """
        from chargen.runs.metrics import read_history

        return [dict(row) for row in read_history(self._directory.metrics, name=self.name).rows]

    @cached_property
    def model(self) -> "Model":
        """The best model. Raises ModelFileError for a classifier's run."""
        return Model([find_model(str(self.path), self.path.parent)])

    @cached_property
    def classifier(self) -> "Classifier":
        """The best classifier. Raises ModelFileError for a run that knows no labels."""
        return Classifier(find_model(str(self.path), self.path.parent))

    def generate(self, prompt: str = "", **options: Unpack[SamplingSettings]) -> str:
        """Write a text with the best model; see `Model.generate`."""
        return self.model.generate(prompt, **options)

    def evaluate(self, text: str | None = None, *, block_length: int = 256) -> dict[str, dict[str, float]]:
        """Measure the best model on what training held out, or on a text; see `Model.evaluate`."""
        return self.model.evaluate(text, block_length=block_length)


class Model:
    """A trained network, or several that write together. `load` makes one."""

    def __init__(
        self, paths: Sequence[Path], *, label: str | None = None, ensemble: str = AVERAGE, carry: bool | None = None
    ) -> None:
        self._paths, self._label, self._how = paths, label, ensemble
        self._members = [load_model(path).with_carry(carry) for path in paths]
        if label is not None or len(paths) > 1:
            _ = self._writer  # raises now what there is to raise; without a label it may still be measured

    def __repr__(self) -> str:
        return f"Model({', '.join(repr(str(path)) for path in self._paths)})"

    @property
    def vocabulary(self) -> Vocabulary:
        """The tokens that the model knows, in the order of their ids.

        >>> "e" in model.vocabulary
        True
        """
        return self._members[0].vocabulary

    def generate(self, prompt: str = "", **options: Unpack[SamplingSettings]) -> str:
        """Continue a prompt, and return the text with the prompt in front: what `chargen sample --count 1` writes.

        Keywords are those of `chargen sample --help-all`; lengths are in characters, several temperatures take turns. The same
        random_seed gives the same text. Raises UnknownTokenError for a prompt with characters or words that the model does not
        know, ConfigError for options that conflict or are out of range, and SamplingError where too few texts are as asked.

        >>> model.generate("The ", greedy=True, length=20) == model.generate("The ", temperature=0, length=20)
        True
        >>> model.generate("The ", temperature=-1)
        Traceback (most recent call last):
            ...
        chargen.errors.ConfigError: temperature is -1, expected 0 or more; try 0.5 to 1.2
        """
        return "".join(self.stream(prompt, **options))

    def stream(self, prompt: str = "", **options: Unpack[SamplingSettings]) -> Iterator[str]:
        """Yield the text of `generate` piece by piece, as it comes, the prompt first. Raises at once what `generate` raises.

        >>> pieces = model.stream("The ", length=5, random_seed=1)
        >>> next(pieces)
        'The '
        """
        return self._composition(prompt, options, count=1).stream()

    def texts(self, prompt: str = "", *, count: int | None = None, **options: Unpack[SamplingSettings]) -> list[str]:
        """Return several texts, each with the prompt in front: what `chargen sample --count` writes.

        Without a count ten lines of a model of lines, else one text; with a beam, the most probable ones that it finds. Several
        lines all differ: there are fewer than `count` where the model writes no more different ones. distinct=True raises
        SamplingError then, distinct=False allows repeats.

        >>> len(model.texts("The ", count=3, length=10))
        3
        """
        if count is not None:
            check_value("count", count, int, Setting(help="", minimum=1))
        return self._composition(prompt, options, count=count).write().texts

    def next(self, text: str = "", *, top: int = 10, on_unknown: OnUnknown = "error") -> list[tuple[str | None, float]]:
        """Return the tokens that most probably follow a text, with their probabilities, as `chargen next` shows them.

        None is the end of a line, in a model of lines.

        >>> expected = model.next("The ", top=3)
        >>> len(expected), sum(probability for _, probability in expected) <= 1
        (3, True)
        """
        check_value("top", top, int, Setting(help="", minimum=1))
        tokens = [None, *self.vocabulary]  # by token id
        prompt = read_prompt(self.vocabulary, text, on_unknown=on_unknown)
        return [(tokens[token], probability) for token, probability in most_probable(self._writer, prompt.ids, top)]

    def surprise(self, text: str, *, on_unknown: OnUnknown = "error") -> list[tuple[str, float]]:
        """Return the pieces of a text, one a token, each with its bits, as `chargen surprise` measures them.

        A model of lines reads each line by itself, and its end as a newline.

        >>> [piece for piece, bits in model.surprise("The cat.")]
        ['T', 'h', 'e', ' ', 'c', 'a', 't', '.']
        """
        from chargen.insight.passages import read_passages
        from chargen.insight.surprise import measure_surprise

        surprise = measure_surprise(self._writer, read_passages(self._writer, text, on_unknown=on_unknown))
        return list(zip(surprise.pieces, map(float, surprise.measured.bits), strict=True))

    def evaluate(
        self, text: str | None = None, *, block_length: int = 256, on_unknown: OnUnknown = "error"
    ) -> dict[str, dict[str, float]]:
        """Measure how well the model predicts a text, or what its training held out: what `chargen evaluate` measures.

        Returns the figures of each way of reading, the model's own first: "lines", or "stream" and "blocks of 256"; before them
        "windows of T" of a network that reads windows. cross_entropy is in nats and
        bits_per_character in bits a character. Several models are measured by the average of their probabilities. Raises
        ConfigError for models that take turns or held out different texts, and CorpusError where the text that training held
        out is gone or has changed.

        >>> figures = model.evaluate("The stairs are cold.")
        >>> sorted(figures), sorted(figures["stream"])[:2]
        (['blocks of 256', 'stream'], ['bits_per_character', 'characters'])
        """
        from contextlib import nullcontext

        from chargen.insight.assessment import Subject, assess, held_out_subject
        from chargen.insight.evaluation import ignore
        from chargen.runs.trained_text import as_documents

        check_value("block_length", block_length, int, Setting(help="", minimum=2))
        if text is None:
            members = zip(self._paths, self._members, strict=True)
            documents = held_out_subject([(RunDirectory(path.parent), model) for path, model in members]).documents
        else:
            documents = as_documents([text], self._members[0], name="the text", label=self._label, on_unknown=on_unknown)
        subject = Subject(model=join_models(self._named, self._how), documents=documents, held_out=text is None)
        rows = assess(subject, lambda name, total: nullcontext(ignore), block_length=block_length, with_baselines=False)
        return {row.name: row.quality.row() for row in rows}

    def describe(self) -> dict[str, Any]:
        """Return what there is to know of the model: its cell and sizes, its vocabulary, how well it learnt.

        >>> model.describe()["hidden_size"], model.describe()["tokens"]
        (24, 'character')
        """
        from chargen.serving.model_card import describe_model

        return describe_model(self._single()).card

    @cached_property
    def _writer(self) -> AnyModel:
        return join_models([(name, labelled(name, model, self._label)) for name, model in self._named], self._how)

    @property
    def _named(self) -> list[tuple[str, TextModel]]:
        return [(str(path), model) for path, model in zip(self._paths, self._members, strict=True)]

    def _composition(self, prompt: str, options: Mapping[str, Any], *, count: int | None) -> Composition:
        return compose(self._writer, self._paths, prompt, read_options(options), count=count)

    def _single(self) -> TextModel:
        if len(self._members) > 1:
            raise ConfigError(f"{len(self._members)} models write together, expected one", hint="load it by itself")
        return self._members[0]


class Classifier:
    """A trained network that tells the label of a text. `load_classifier` makes one."""

    def __init__(self, path: Path) -> None:
        self._path, self._model = path, load_labelled(path)

    def __repr__(self) -> str:
        return f"Classifier({str(self._path)!r})"

    def classify(
        self, *texts: str, prior: Mapping[str, float] | None = None, on_unknown: OnUnknown = "error"
    ) -> list[dict[str, float]]:
        """Return the probability of each label for each text, the most probable first, as `chargen classify` tells them."""
        return label_probabilities(self._model, texts, prior=prior, on_unknown=on_unknown)


def _train(layers: Sequence[tuple[str, Mapping[str, Any]]], *, runs_dir: StrPath | None, **options: Any) -> Run:
    from chargen.training.signals import patience
    from chargen.training.start import plan_training

    with patience():
        trained = plan_training(layers, runs_dir=_runs_dir(runs_dir), **options).train()
    run = Run(trained.run.path)
    if trained.outcome and trained.outcome.interrupted_by:
        _pass_on(trained.outcome.interrupted_by, run)
    return run


def _pass_on(number: int, run: Run) -> None:
    """Do what a signal would have done, had training not held it back to save everything."""
    try:
        signal.raise_signal(number)
        raise KeyboardInterrupt  # where its handler takes it lightly, the training has ended nevertheless
    except KeyboardInterrupt as interrupt:
        interrupt.add_note(f"everything is saved; chargen.resume({str(run.path)!r}) goes on")
        raise


def _model_paths(runs: Sequence[StrPath], runs_dir: StrPath | None) -> list[Path]:
    return [find_model(os.fspath(run), _runs_dir(runs_dir)) for run in runs] or [find_model(None, _runs_dir(runs_dir))]


def _runs_dir(given: StrPath | None) -> Path:
    return Path(os.environ.get("CHARGEN_RUNS") or "runs") if given is None else Path(given)


def _verbosity(quiet: bool, verbose: bool) -> int:
    return 0 if quiet else 1 + verbose

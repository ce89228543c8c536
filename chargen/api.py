"""Offer chargen to Python programs: `chargen.train`, `chargen.resume`, `chargen.load` and what they return.

Keywords are named as the flags of the command line, and the results are the same, byte for byte.

>>> import chargen
>>> run = chargen.train("tiny.txt", cell="gru", hidden_size=24, epochs=2, backend="numpy", quiet=True)
>>> text = run.generate("The ", length=60, temperature=0.8, random_seed=7)
>>> text.startswith("The "), len(text)
(True, 64)

Later, load the run by its path or its name, as `chargen sample --run` does:

>>> model = chargen.load(run.path)
>>> model.generate("The ", length=60, temperature=0.8, random_seed=7) == text
True

Each error that the caller can fix is a ChargenError that says how:

>>> chargen.train("tiny.txt", cell="ltsm")
Traceback (most recent call last):
    ...
chargen.errors.ConfigError: cell is 'ltsm', expected one of simplernn, dense, lstm, mlstm, gru
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
from chargen.settings.keyword_errors import keyword_errors
from chargen.settings.keywords import TrainKeywords, WritingKeywords
from chargen.settings.layers import check_value, keyword_layer, read_config
from chargen.settings.schema import Setting, TrainingConfig
from chargen.settings.writing import read_keywords
from chargen.writing.classifier import label_probabilities, load_labelled
from chargen.writing.ensemble import AVERAGE, AnyModel, join_models, labelled
from chargen.writing.prediction import most_probable
from chargen.writing.prompt import read_prompt
from chargen.writing.request import Request, make_request

OnUnknown = Literal["error", "skip", "nearest"]
StrPath = str | os.PathLike[str]


@keyword_errors()
def train(
    *files: StrPath | Sequence[StrPath],
    callbacks: Sequence[Any] = (),
    config: StrPath | None = None,
    preset: Literal["fast", "balanced", "best"] | None = None,
    minutes: float | None = None,
    runs_dir: StrPath | None = None,
    quiet: bool = False,
    verbose: bool = False,
    **settings: Unpack[TrainKeywords],
) -> "Run":
    """Train a network on text files, folders or shipped corpora, given one by one or as a list, and return its run.

    Every setting of `chargen train --help-all` is a keyword. Other settings are chosen from the text and the time budget, which
    minutes or a preset set. The run's files are written below runs_dir, $CHARGEN_RUNS or ./runs. Progress is printed to stderr
    unless quiet; verbose prints more. Ctrl-C, in the main thread, raises KeyboardInterrupt after everything is saved; `resume`
    continues. callbacks: of Keras. Their methods for the begin and the end of training, of an epoch and of measuring held-out
    text are called, with `logs` as in `fit`: loss, val_loss, learning_rate, and bits_per_character; those for training batches
    are called once for each execution of several steps, as with `steps_per_execution` in `fit`. Raises ChargenError, usually
    before training starts: ConfigError for settings, CorpusError for texts, RunError for folders, TrainingError for a loss that
    diverges and for a callback that fails.

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
        [*layers, keyword_layer(list(_flattened(files)), settings)],
        callbacks=callbacks,
        runs_dir=runs_dir,
        verbosity=_verbosity(quiet, verbose),
        configured=config is not None,
        preset=preset,
        minutes=minutes,
    )


@keyword_errors()
def resume(
    run: StrPath | None = None,
    *,
    epochs: int | None = None,
    learning_rate: float | None = None,
    runs_dir: StrPath | None = None,
    quiet: bool = False,
    verbose: bool = False,
) -> "Run":
    """Continue a stopped training exactly where it was, and return its run; the newest run unless given.

    A finished training stays as it is, unless there are more epochs; then it goes on with the optimizer as it was, at another
    learning rate if one is given. Raises the errors of `train`, and RunError if there is no such run.

    >>> chargen.resume(run.path, quiet=True) == run
    True
    """
    spec = os.fspath(run) if run is not None else ""
    changes = {"epochs": epochs, "learning_rate": learning_rate}
    layer = keyword_layer([], {name: value for name, value in changes.items() if value is not None})
    return _train([layer], runs_dir=runs_dir, verbosity=_verbosity(quiet, verbose), resume=spec)


@keyword_errors()
def load(
    *runs: StrPath,
    label: str | None = None,
    ensemble: Literal["average", "turns"] = "average",
    carry: bool | None = None,
    memory: float | None = None,
    member: int | None = None,
    runs_dir: StrPath | None = None,
) -> "Model":
    """Load a trained network by the name or the path of its run, or a model file; the newest run unless given.

    label: for models of labelled documents, the label to write for. Several runs write together: their probabilities are
    averaged, or they take turns. carry: carry the state from character to character, or read the window before each one from a
    zero state; as in training unless given. memory: the weight of the n-gram memory beside the network, from 0 to 1; as
    chosen in training unless given. member: use only this network, counted from 1, of a model that holds several. Neither
    Keras nor a backend is loaded. Raises RunError for a missing run, and ModelFileError for a damaged file or one of a model
    that does not write text.

    >>> chargen.load(run.name).describe()["cell"]
    'gru'
    """
    check_value("ensemble", ensemble, str, Setting(help="", choices=("average", "turns")))
    if memory is not None:
        check_value("memory", memory, float, Setting(help="", minimum=0, maximum=1))
    paths = _model_paths(runs, runs_dir)
    return Model(paths, label=label, ensemble=ensemble, carry=carry, memory=memory, member=member)


@keyword_errors()
def load_classifier(run: StrPath | None = None, *, runs_dir: StrPath | None = None) -> "Classifier":
    """Load a run that predicts labels, trained with task="classify" or with label_by. Raises the errors of `load`."""
    (path,) = _model_paths(() if run is None else (run,), runs_dir)
    return Classifier(path)


class Run:
    """The run directory of a training. Runs of the same path are equal."""

    def __init__(self, path: StrPath) -> None:
        self._directory = RunDirectory(Path(path))

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r})"

    def _repr_html_(self) -> str:
        """Show the run in a notebook: its settings, the curve of its losses, and its newest sample texts."""
        from chargen.pages.notebook import run_card

        return run_card(self._directory)

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
        """All settings of the run, by section."""
        from chargen.runs.config import read_settings

        return read_settings(self._directory).to_mapping()

    @property
    def history(self) -> list[dict[str, Any]]:
        """One row for each epoch, as in metrics.csv, with `loss` and `val_loss` as Keras calls the cross-entropies.

        Raises RunError before the end of the first epoch.

        >>> sorted(run.history[0])[:3]
        ['bits_per_character', 'characters_per_token', 'cross_entropy']
        """
        from chargen.runs.metrics import read_history, with_keras_names

        return [with_keras_names(row) for row in read_history(self._directory.metrics, name=self.name).rows]

    @cached_property
    def model(self) -> "Model":
        """The best model. Raises ModelFileError for a classifier's run."""
        return Model([find_model(str(self.path), self.path.parent)])

    @cached_property
    def classifier(self) -> "Classifier":
        """The best classifier. Raises ModelFileError for a run without labels."""
        return Classifier(find_model(str(self.path), self.path.parent))

    def generate(self, prompt: str = "", **options: Unpack[WritingKeywords]) -> str:
        """Write a text with the best model; see `Model.generate`."""
        return self.model.generate(prompt, **options)

    @keyword_errors()
    def evaluate(self, text: str | None = None, *, block_length: int = 256) -> dict[str, dict[str, float]]:
        """Measure the best model on the held-out text, or on a given text; see `Model.evaluate`."""
        return self.model.evaluate(text, block_length=block_length)

    def keras_model(self, *, softmax: bool = False) -> Any:
        """Return the best model as a Keras model, compiled to be trained on; see `Model.keras_model`."""
        return self.model.keras_model(softmax=softmax)


class Model:
    """A trained network, or several that write together. Made by `load`."""

    def __init__(
        self,
        paths: Sequence[Path],
        *,
        label: str | None = None,
        ensemble: str = AVERAGE,
        carry: bool | None = None,
        memory: float | None = None,
        member: int | None = None,
    ) -> None:
        self._paths, self._label, self._how = paths, label, ensemble
        self._members = [load_model(path).member(member).with_carry(carry).with_memory(memory) for path in paths]
        if label is not None or len(paths) > 1:
            _ = self._writer  # raises errors now; without a label the model may still be measured

    def __repr__(self) -> str:
        return f"Model({', '.join(repr(str(path)) for path in self._paths)})"

    def _repr_html_(self) -> str:
        """Show the model in a notebook: what `describe` returns."""
        from chargen.pages.notebook import card

        facts = {name: value for name, value in self.describe().items() if isinstance(value, str | int | float) and value != ""}
        return card(repr(self), {name.replace("_", " "): value for name, value in facts.items()})

    @property
    def vocabulary(self) -> Vocabulary:
        """The tokens that the model knows, in the order of their ids.

        >>> "e" in model.vocabulary
        True
        """
        return self._members[0].vocabulary

    def generate(self, prompt: str = "", **options: Unpack[WritingKeywords]) -> str:
        """Continue a prompt, and return the text including the prompt, as `chargen sample --count 1`.

        Keywords are those of `chargen sample --help-all`; lengths are in characters, several temperatures take turns. The same
        random_seed gives the same text. Raises UnknownTokenError for a prompt with characters or words that the model does not
        know, ConfigError for options that conflict or are out of range, and SamplingError if too few texts satisfy the options.

        >>> model.generate("The ", greedy=True, length=20) == model.generate("The ", temperature=0, length=20)
        True
        >>> model.generate("The ", temperature=-1)
        Traceback (most recent call last):
            ...
        chargen.errors.ConfigError: temperature is -1.0, expected 0 or more
        """
        return "".join(self.stream(prompt, **options))

    @keyword_errors()
    def stream(self, prompt: str = "", **options: Unpack[WritingKeywords]) -> Iterator[str]:
        """Yield the text of `generate` piece by piece, the prompt first. Raises the errors of `generate` at once.

        >>> pieces = model.stream("The ", length=5, random_seed=1)
        >>> next(pieces)
        'The '
        """
        return self._request(prompt, options, count=1).stream()

    @keyword_errors()
    def texts(self, prompt: str = "", *, count: int | None = None, **options: Unpack[WritingKeywords]) -> list[str]:
        """Return several texts, each including the prompt, as `chargen sample --count`.

        The default count is ten for a model of lines, else one. With a beam, returns the most probable texts that it finds.
        Several lines are all different; if the model cannot write enough of them, there are fewer than `count`. Then
        distinct=True raises SamplingError; distinct=False allows repeats.

        >>> len(model.texts("The ", count=3, length=10))
        3
        """
        return self._request(prompt, options, count=count).write().texts

    @keyword_errors()
    def next(self, text: str = "", *, top: int = 10, on_unknown: OnUnknown = "error") -> list[tuple[str | None, float]]:
        """Return the most probable tokens after a text, with their probabilities, as `chargen next`.

        In a model of lines, None is the end of the line.

        >>> expected = model.next("The ", top=3)
        >>> len(expected), sum(probability for _, probability in expected) <= 1
        (3, True)
        """
        check_value("top", top, int, Setting(help="", minimum=1))
        tokens = [None, *self.vocabulary]  # by token id
        prompt = read_prompt(self.vocabulary, text, on_unknown=on_unknown)
        return [(tokens[token], probability) for token, probability in most_probable(self._writer, prompt.ids, top)]

    @keyword_errors()
    def surprise(self, text: str, *, cache: bool = False, on_unknown: OnUnknown = "error") -> list[tuple[str, float]]:
        """Return the pieces of a text, one for each token, with their bits, as `chargen surprise`.

        A model of lines reads each line separately, and its end as a newline. cache: expect what stood before in the
        text again.

        >>> [piece for piece, bits in model.surprise("The cat.")]
        ['T', 'h', 'e', ' ', 'c', 'a', 't', '.']
        """
        from chargen.insight.passages import read_passages
        from chargen.insight.surprise import measure_surprise

        passages = read_passages(self._writer, text, on_unknown=on_unknown)
        surprise = measure_surprise(self._writer, passages, cache=cache)
        return list(zip(surprise.pieces, map(float, surprise.measured.bits), strict=True))

    @keyword_errors()
    def evaluate(
        self, text: str | None = None, *, block_length: int = 256, cache: bool = False, on_unknown: OnUnknown = "error"
    ) -> dict[str, dict[str, float]]:
        """Measure how well the model predicts a text, or its held-out text, as `chargen evaluate`.

        Returns the figures of each way of reading, the model's own first: "lines", or "stream" and "blocks of 256"; before them
        "windows of T" for a network that reads windows. With an n-gram memory, "stream, memory" comes before "stream", which is
        the network alone. With cache=True, "stream, cache" is the model with a cache of what it has read. cross_entropy is in
        nats, bits_per_character in bits a character. The probabilities of several models are averaged. Raises ConfigError for
        models that take turns or have different held-out texts, and CorpusError if the held-out text is missing or has changed.

        >>> figures = model.evaluate("The stairs are cold.")
        >>> sorted(figures), sorted(figures["stream"])[:2]
        (['blocks of 256', 'blocks of 256, memory', 'stream', 'stream, memory'], ['bits_per_character', 'characters'])
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
        options: dict[str, Any] = {"block_length": block_length, "cache": cache, "with_baselines": False}
        rows = assess(subject, lambda name, total: nullcontext(ignore), **options)
        return {row.name: row.quality.row() for row in rows}

    def describe(self) -> dict[str, Any]:
        """Return the cell, sizes, vocabulary and quality of the model.

        >>> model.describe()["hidden_size"], model.describe()["tokens"]
        (24, 'character')
        """
        from chargen.serving.model_card import describe_model

        return describe_model(self._single()).card

    def keras_model(self, *, softmax: bool = False) -> Any:
        """Return the network as a `keras.Model` of Keras's own layers, and load Keras for it.

        Its inputs are ids, (B, T), its outputs logits, (B, T, V), or probabilities with softmax; (B, V) of a network that
        predicts the last token only. It is compiled with the loss of its training, and with its optimizer where the run is at
        hand (AdamW instead of Muon), else with Adam, so that `fit` goes on training it. `chargen.keras.save` makes a model file
        of it again.

        >>> type(model.keras_model().layers[-1]).__name__
        'Dense'
        """
        from chargen.keras.trained import trained_model
        from chargen.runs.config import read_settings

        single = self._single()
        run = RunDirectory(self._paths[0].parent)
        training = read_settings(run).training if run.config.is_file() else TrainingConfig()
        return trained_model(single, training, softmax=softmax)

    @cached_property
    def _writer(self) -> AnyModel:
        return join_models([(name, labelled(name, model, self._label)) for name, model in self._named], self._how)

    @property
    def _named(self) -> list[tuple[str, TextModel]]:
        return [(str(path), model) for path, model in zip(self._paths, self._members, strict=True)]

    def _request(self, prompt: str, given: Mapping[str, Any], *, count: int | None) -> Request:
        from chargen.insight.novelty import novelty_test

        options = read_keywords(given, count=count)
        is_new = novelty_test(self._paths, self._writer.reading, options.copy_length) if options.novel else None
        return make_request(self._writer, prompt, options, is_new=is_new)

    def _single(self) -> TextModel:
        if len(self._members) > 1:
            raise ConfigError(f"got {len(self._members)} models, expected one", hint="load it by itself")
        return self._members[0]


class Classifier:
    """A trained network that predicts the label of a text. Made by `load_classifier`."""

    def __init__(self, path: Path) -> None:
        self._path, self._model = path, load_labelled(path)

    def __repr__(self) -> str:
        return f"Classifier({str(self._path)!r})"

    @keyword_errors()
    def classify(
        self, *texts: str, prior: Mapping[str, float] | None = None, on_unknown: OnUnknown = "error"
    ) -> list[dict[str, float]]:
        """Return the probability of each label for each text, the most probable first, as `chargen classify`."""
        return label_probabilities(self._model, texts, prior=prior, on_unknown=on_unknown)


def _train(layers: Sequence[tuple[str, Mapping[str, Any]]], *, runs_dir: StrPath | None, **options: Any) -> Run:
    from chargen.training.signals import unlimited_grace
    from chargen.training.start import plan_training

    with unlimited_grace():
        trained = plan_training(layers, runs_dir=_runs_dir(runs_dir), **options).train()
    run = Run(trained.run.path)
    if trained.outcome and trained.outcome.interrupted_by:
        _pass_on(trained.outcome.interrupted_by, run)
    return run


def _pass_on(number: int, run: Run) -> None:
    """Send a signal again that training delayed to save everything."""
    try:
        signal.raise_signal(number)
        raise KeyboardInterrupt  # the training has stopped even if the signal's handler returns
    except KeyboardInterrupt as interrupt:
        interrupt.add_note(f"everything is saved; continue with chargen.resume({str(run.path)!r})")
        raise


def _model_paths(runs: Sequence[StrPath], runs_dir: StrPath | None) -> list[Path]:
    return [find_model(os.fspath(run), _runs_dir(runs_dir)) for run in runs] or [find_model(None, _runs_dir(runs_dir))]


def _runs_dir(given: StrPath | None) -> Path:
    return Path(os.environ.get("CHARGEN_RUNS") or "runs") if given is None else Path(given)


def _flattened(files: Sequence[StrPath | Sequence[StrPath]]) -> Iterator[str]:
    """Yield all files, those of lists too."""
    for one in files:
        if isinstance(one, str | os.PathLike):
            yield os.fspath(one)
        else:
            yield from (os.fspath(file) for file in one)


def _verbosity(quiet: bool, verbose: bool) -> int:
    return 0 if quiet else 1 + verbose

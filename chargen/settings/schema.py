"""Declare every setting of a run: its name, default, unit and bounds.

A setting whose default is None is chosen from the text once the text is known (see `chargen.training.planning`), unless
its `unset` says what else None stands for.
"""

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from keyword import iskeyword
from typing import Any, get_type_hints

import tomli_w

Mapped = dict[str, dict[str, Any]]

COMMAND_LINE = "command line"  # the layer whose settings are named by their flags
KEYWORDS = "keyword arguments"  # the layer of the Python interface
UNKNOWN_CHOICES = ("error", "skip", "nearest")  # what to do with text that a vocabulary does not have


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What is known of one setting beside its type and default.

    `flag` is its command-line name where that is not the field's; `shorthands` are flags that stand for one value each.
    `by_text`: without a config the value is chosen from the text and the time budget. `unset`: what a default of None stands
    for. `before`: the value of runs that were made before there was the setting, where that is not the default.
    """

    help: str
    minimum: float | None = None
    maximum: float | None = None
    above: float | None = None
    choices: tuple[str, ...] = ()
    flag: str | None = None
    shorthands: Mapping[str, Any] = field(default_factory=dict)
    by_text: bool = False
    unset: str = "chosen from the text"
    before: Any = None


def flag_name(name: str, detail: Setting) -> str:
    """Return the command-line name of a setting."""
    return detail.flag or "--" + name.replace("_", "-")


def keyword_name(name: str, detail: Setting) -> str:
    """Return the name of a setting's keyword argument, which is its flag's."""
    return keyword_of(flag_name(name, detail))


def keyword_of(flag: str) -> str:
    """Return a flag as a keyword argument.

    >>> keyword_of("--hidden-size"), keyword_of("--from")
    ('hidden_size', 'from_')
    """
    name = flag.removeprefix("--").replace("-", "_")
    return f"{name}_" if iskeyword(name) else name


def setting(default: Any, help: str, **details: Any) -> Any:
    """Declare a dataclass field that users may set."""
    return field(default=default, metadata={"setting": Setting(help=help, **details)})


@dataclass(frozen=True, kw_only=True)
class CorpusConfig:
    """Which text is read, and how."""

    files: tuple[str, ...] = setting((), "Files, folders, addresses (https://..., s3://...), shipped corpora, or - for stdin.")
    glob: str | None = setting(None, "Which files of a folder are read, such as '**/*.py'.", unset="**/*.txt and **/*.md")
    folder_files: str = setting(
        "clean",
        "What is read of a folder: clean leaves out hidden and system files, and copies; all reads every matching file.",
        choices=("clean", "all"),
        before="all",
    )
    encoding: str = setting("auto", "Encoding of the text; auto finds it out.")
    format: str = setting(
        "auto",
        "What files are: tables are read row by row, pages without markup; auto goes by names, text reads them as plain text.",
        choices=("auto", "text", "csv", "tsv", "jsonl", "json", "html", "notebook", "subtitles", "mail", "chat"),
        before="text",
    )
    reading: str = setting(
        "auto",
        "Whether a line or a whole file is a document; auto judges each file, a list of names is read by lines.",
        choices=("auto", "line", "document"),
        shorthands={"--per-line": "line", "--document": "document"},
    )
    separator: str | None = setting(
        None,
        "What stands between documents: blank for empty lines, a line such as %, a marker, or none.",
        unset="found in the text",
    )
    file_readings: tuple[str, ...] = setting(
        (),
        "How each file is read, in order: line, document, or its separator; given once for each file.",
        flag="--file-reading",
    )
    tokens: str = setting(
        "char", "What the text is cut into; byte takes any file as it is.", choices=("char", "byte", "word", "bpe")
    )
    vocab_size: int | None = setting(
        None, "Tokens of a word (10,000 unless given) or BPE (1,000) vocabulary, at most.", minimum=2, maximum=1_000_000
    )
    label_by: str = setting(
        "none",
        "Label documents by their file's name or folder, or by who says them in a chat; sample --label writes like one.",
        choices=("none", "file", "folder", "speaker"),
    )
    text_column: str | None = setting(
        None, "Column of a table that holds the texts, by name or number.", unset="found by its name or its texts"
    )
    label_column: str | None = setting(
        None,
        "Column of a table that holds their labels; sample --label writes like one of them.",
        unset="found to classify, else none",
    )
    mix: tuple[str, ...] = setting((), "PATH:WEIGHT, given several times: how often windows are drawn from which text.")
    strip_licence: bool = setting(
        True, "Leave out the header and the licence of electronic books (*** START OF ... ***).", before=False
    )
    validation_split: float = setting(0.1, "Share of the text held out for validation.", minimum=0.0, maximum=0.9)
    validation: str = setting(
        "spread",
        "Hold out spans spread over the text, or its tail as published benchmarks do; of many documents, whole ones.",
        choices=("spread", "tail"),
        before="tail",
    )


@dataclass(frozen=True, kw_only=True)
class NetworkConfig:
    """The shape of the network."""

    cell: str = setting(
        "lstm",
        "Recurrent cell; dense is a SimpleRNN written out as a graph of shared Dense layers.",
        choices=("simplernn", "dense", "lstm", "gru"),
    )
    num_layers: int = setting(1, "Recurrent layers.", minimum=1, maximum=64, flag="--layers")
    hidden_size: int = setting(128, "Units of each recurrent layer.", minimum=1, maximum=65536, by_text=True)
    embedding_size: int = setting(
        64,
        "Size of the token embedding; 0 feeds one-hot vectors.",
        minimum=0,
        maximum=65536,
        flag="--embedding",
        shorthands={"--one-hot": 0},
        by_text=True,
    )
    embedding_norm: str = setting("none", "Normalise the embedding over a batch, or not.", choices=("none", "batch"))
    layer_norm: bool = setting(False, "Normalise the outputs of each recurrent layer before the next one.")
    activation: str = setting("tanh", "Activation of a simplernn or dense cell.", choices=("tanh", "relu"))
    recurrent_init: str = setting(
        "orthogonal",
        "How the recurrent weights start; identity is for simplernn and dense.",
        choices=("orthogonal", "identity", "glorot_uniform"),
    )
    dense_size: int = setting(0, "Units of a hidden Dense layer before the output; 0 for none.", minimum=0, maximum=65536)
    targets: str = setting(
        "all", "Predict the next token after every position, or after the last of a window.", choices=("all", "last")
    )
    dropout: float = setting(0.0, "Share of each recurrent layer's outputs dropped.", minimum=0.0, maximum=0.95, by_text=True)
    input_dropout: float = setting(0.0, "Share of the first layer's inputs dropped.", minimum=0.0, maximum=0.95)
    locked_dropout: bool = setting(False, "Drop the same units at all steps of a window (variational dropout).", by_text=True)
    recurrent_dropout: float = setting(0.0, "Share of recurrent values dropped inside a layer.", minimum=0.0, maximum=0.95)
    weight_drop: float = setting(
        0.0,
        "Share of recurrent weights dropped, drawn anew for each batch (DropConnect).",
        minimum=0.0,
        maximum=0.95,
        by_text=True,
    )
    unit_forget_bias: bool = setting(True, "Start an LSTM's forget gate at bias 1.")
    reset_after: bool = setting(True, "Apply a GRU's reset gate after the recurrent product (the cuDNN form).")

    def undropped(self) -> "NetworkConfig":
        """Return the network as it is when it does not train: nothing is dropped."""
        return dataclasses.replace(
            self, dropout=0.0, input_dropout=0.0, locked_dropout=False, recurrent_dropout=0.0, weight_drop=0.0
        )


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """How the network learns."""

    task: str = setting("generate", "Learn to write text, or to tell the label of a text.", choices=("generate", "classify"))
    context_length: int | None = setting(None, "Tokens in a window.", minimum=1, maximum=1_000_000)
    stride: int | None = setting(None, "Tokens between the starts of two windows.", minimum=1, maximum=1_000_000)
    stateful: bool = setting(
        False, "Read the text as contiguous streams and carry the state from batch to batch.", by_text=True
    )
    jitter: bool = setting(
        False, "Cut the streams at other places in each epoch, and reset the state from time to time.", by_text=True
    )
    batch_size: int | None = setting(None, "Windows in a batch.", minimum=1, maximum=1_000_000)
    epochs: int = setting(60, "Passes over the text, at most.", minimum=1, maximum=1_000_000, by_text=True)
    patience: int = setting(
        6, "Epochs without a better validation loss before training stops; 0 never stops.", minimum=0, by_text=True
    )
    start_from: str | None = setting(
        None,
        "Run or model file whose weights training goes on from; tokens are matched by their text.",
        flag="--from",
        unset="none",
    )
    until_loss: float | None = setting(
        None, "Stop once the training loss of an epoch is this or less, in nats.", minimum=0.0, unset="none"
    )
    epoch_steps: int | None = setting(None, "Optimizer steps that count as an epoch.", minimum=1, unset="a pass over the text")
    validate_whole: bool = setting(
        False, "Measure all of the held-out text after each epoch, also where --epoch-steps makes epochs short."
    )
    optimizer: str = setting("adam", "Optimizer.", choices=("adam", "adamw", "rmsprop", "adagrad", "sgd"), by_text=True)
    learning_rate: float = setting(0.003, "Learning rate, at its highest.", above=0.0, maximum=100.0, by_text=True)
    weight_decay: float = setting(
        0.004, "Share of each weight that AdamW takes off, times the learning rate.", minimum=0.0, by_text=True
    )
    beta_2: float = setting(
        0.999, "How long Adam and AdamW remember squared gradients.", minimum=0.0, maximum=0.999999, by_text=True
    )
    schedule: str = setting(
        "constant",
        "How the learning rate falls: along a cosine to 0, in steps, or whenever validation gets no better.",
        choices=("constant", "cosine", "step", "plateau"),
        by_text=True,
    )
    warmup_epochs: float = setting(0.0, "Epochs in which the learning rate rises to its highest.", minimum=0.0, by_text=True)
    decay_epochs: int = setting(
        3, "Epochs between two steps of the learning rate; without a better validation, for plateau.", minimum=1
    )
    decay_factor: float = setting(0.5, "What a step or a plateau multiplies the learning rate by.", above=0.0, maximum=1.0)
    clip_norm: float = setting(1.0, "Largest norm of the gradient; 0 does not clip.", minimum=0.0)
    clip_value: float = setting(0.0, "Largest entry of the gradient; 0 does not clip.", minimum=0.0)
    backend: str = setting(
        "tensorflow",
        "What trains: Keras on TensorFlow, JAX or PyTorch, or a hand-written NumPy trainer.",
        choices=("tensorflow", "jax", "torch", "numpy"),
    )
    precision: str = setting(
        "float32",
        "Numbers that layers compute in; weights, sums of gradients and the loss are float32 always.",
        choices=("float32", "mixed_bfloat16", "mixed_float16"),
    )
    checkpoint_seconds: float = setting(60.0, "Seconds between two checkpoints; there is one after each epoch too.", above=0.0)
    checkpoint_steps: int = setting(0, "Optimizer steps between two checkpoints; 0 leaves it to the seconds.", minimum=0)
    random_seed: int = setting(1, "Seed of everything that is drawn.", minimum=0, maximum=2**32 - 1)

    @property
    def may_end_early(self) -> bool:
        """Whether training may end before its last epoch."""
        return self.patience > 0 or self.until_loss is not None


@dataclass(frozen=True, kw_only=True)
class SamplesConfig:
    """The sample text written while the network learns."""

    sample_every: int = setting(1, "Epochs between two sample texts; 0 writes none.", minimum=0)
    diversity: tuple[float, ...] = setting((0.5, 1.2), "Temperature of a sample text; may be given several times.", minimum=0.0)
    sample_length: int = setting(200, "Characters of a sample text.", minimum=1, maximum=1_000_000)


@dataclass(frozen=True, kw_only=True)
class SamplingOptions:
    """How text is drawn once a network is trained, as a user says it; `chargen.writing.sampling` checks the numbers.

    temperature: taken in turn, one a token. repetition_window: drawn tokens. ban: characters that are never drawn.
    """

    temperature: tuple[float, ...] = (1.0,)
    greedy: bool = False
    top_k: int = 0
    top_p: float = 1.0
    repetition_penalty: float = 1.0
    repetition_window: int = 64
    ban: str = ""


@dataclass(frozen=True, kw_only=True)
class TrackingConfig:
    """Where a run is logged besides its own directory."""

    wandb: bool = setting(False, "Log the run to Weights & Biases.")
    wandb_project: str | None = setting(None, "Weights & Biases project.", unset="WANDB_PROJECT, else chargen")
    wandb_mode: str | None = setting(
        None,
        "Send it to Weights & Biases while training, keep it in the run directory for wandb sync, or neither.",
        choices=("online", "offline", "disabled"),
        unset="WANDB_MODE, else online",
    )
    wandb_group: str | None = setting(None, "Weights & Biases group of runs.", unset="WANDB_RUN_GROUP, else none")
    wandb_tags: tuple[str, ...] = setting((), "Weights & Biases tag; may be given several times.", flag="--wandb-tag")
    tensorboard: bool = setting(False, "Write TensorBoard event files into the run directory.")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All settings of a run, by section."""

    corpus: CorpusConfig = field(default_factory=CorpusConfig)
    network: NetworkConfig = field(default_factory=NetworkConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    samples: SamplesConfig = field(default_factory=SamplesConfig)
    tracking: TrackingConfig = field(default_factory=TrackingConfig)

    def to_mapping(self) -> Mapped:
        """Return sections of plain values, without the settings that are still to be chosen from the text."""
        return {
            section: {name: _plain(value) for name, value in values.items() if value is not None}
            for section, values in dataclasses.asdict(self).items()
        }

    def to_toml(self) -> str:
        """Return the settings as a TOML text that `resolve` reads back to an equal object."""
        return tomli_w.dumps(self.to_mapping())


SECTIONS: dict[str, type] = {
    "corpus": CorpusConfig,
    "network": NetworkConfig,
    "training": TrainingConfig,
    "samples": SamplesConfig,
    "tracking": TrackingConfig,
}


def declared_settings() -> Iterator[tuple[str, dataclasses.Field[Any], Any, Setting]]:
    """Yield (section, field, type, setting) of every setting, in order."""
    for section, cls in SECTIONS.items():
        types = get_type_hints(cls)
        for one in dataclasses.fields(cls):
            yield section, one, types[one.name], one.metadata["setting"]


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value

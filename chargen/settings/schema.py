"""Declare every setting of a run: its name, default, unit and bounds.

A setting whose default is None is chosen from the text (see `chargen.training.planning`), unless its `unset` says what
else None stands for.
"""

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from keyword import iskeyword
from typing import Any, get_type_hints

Mapped = dict[str, dict[str, Any]]

COMMAND_LINE = "command line"  # the layer whose settings are named by their flags
KEYWORDS = "keyword arguments"  # the layer of the Python interface
LARGEST_SEED = 2**32 - 1
UNKNOWN_CHOICES = ("error", "skip", "nearest")  # what to do with text that a vocabulary does not have


@dataclass(frozen=True, kw_only=True)
class Setting:
    """Describe one setting beside its type and default.

    `flag` is its command-line name if that differs from the field's; `shorthands` are flags that stand for one value each.
    `metavar`: what help texts call its value. `by_text`: without a config this value is chosen from the text and the time
    budget. `unset`: what a default of None stands for. `before`: the value in runs that are older than the setting, if that
    differs from the default.
    """

    help: str
    minimum: float | None = None
    maximum: float | None = None
    above: float | None = None
    choices: tuple[str, ...] = ()
    flag: str | None = None
    metavar: str | None = None
    shorthands: Mapping[str, Any] = field(default_factory=dict)
    by_text: bool = False
    unset: str = "chosen from the text"
    before: Any = None


def flag_name(name: str, detail: Setting) -> str:
    """Return the command-line name of a setting."""
    return detail.flag or "--" + name.replace("_", "-")


def keyword_name(name: str, detail: Setting) -> str:
    """Return the name of a setting's keyword argument."""
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
    """Select the text, and how it is read."""

    files: tuple[str, ...] = setting((), "Files, folders, addresses (https://..., s3://...), shipped corpora, or - for stdin.")
    glob: str | None = setting(
        None, "Pattern of the files to read in a folder, such as '**/*.py'.", unset="**/*.txt and **/*.md"
    )
    folder_files: str = setting(
        "clean",
        "Files to read in a folder: clean leaves out hidden and system files, and copies; all reads every matching file.",
        choices=("clean", "all"),
        before="all",
    )
    encoding: str = setting("auto", "Encoding of the text; auto detects it.")
    format: str = setting(
        "auto",
        "Format of the files: tables are read row by row, pages without markup; auto decides by name, text reads plain text.",
        choices=("auto", "text", "csv", "tsv", "jsonl", "json", "html", "notebook", "subtitles", "mail", "chat"),
        before="text",
    )
    reading: str = setting(
        "auto",
        "Whether each line or each file is one document; auto decides for each file: a list of names is read by lines.",
        choices=("auto", "line", "document"),
        shorthands={"--per-line": "line", "--document": "document"},
    )
    separator: str | None = setting(
        None,
        "Separator of documents: blank for empty lines, a line such as %, a marker, or none.",
        unset="found in the text",
    )
    file_readings: tuple[str, ...] = setting(
        (),
        "How to read each file, in order: line, document, or its separator; give it once for each file.",
        flag="--file-reading",
    )
    tokens: str = setting(
        "char", "Tokens to split the text into; byte reads any file as it is.", choices=("char", "byte", "word", "bpe")
    )
    vocab_size: int | None = setting(
        None, "Largest size of a word vocabulary (10,000 by default) or BPE vocabulary (1,000).", minimum=2, maximum=1_000_000
    )
    label_by: str = setting(
        "none",
        "Label documents by their file's name or folder, or by the speaker in a chat; sample --label writes like one of them.",
        choices=("none", "file", "folder", "speaker"),
    )
    text_column: str | None = setting(
        None, "Column of a table with the texts, by name or number.", unset="found by its name or its texts"
    )
    label_column: str | None = setting(
        None,
        "Column of a table with the labels; sample --label writes like one of them.",
        unset="found for --task classify, else none",
    )
    test_files: tuple[str, ...] = setting(
        (),
        "Table or labelled texts that training never sees, to measure the accuracy of --task classify at the end.",
        flag="--test",
        metavar="FILE",
    )
    mix: tuple[str, ...] = setting((), "PATH:WEIGHT, given several times: how often windows are drawn from each text.")
    strip_licence: bool = setting(
        True, "Leave out the header and the licence of electronic books (*** START OF ... ***).", before=False
    )
    validation_split: float = setting(0.1, "Share of the text held out for validation.", minimum=0.0, maximum=0.9)
    validation: str = setting(
        "spread",
        "Hold out stretches spread over the text, or its tail as in published benchmarks; with many documents, whole ones.",
        choices=("spread", "tail"),
        before="tail",
    )


@dataclass(frozen=True, kw_only=True)
class NetworkConfig:
    """Define the network."""

    cell: str = setting(
        "lstm",
        "Recurrent cell: mlstm is a multiplicative LSTM, dense a SimpleRNN written out as a graph of shared Dense layers.",
        choices=("simplernn", "dense", "lstm", "mlstm", "gru"),
        by_text=True,
    )
    num_layers: int = setting(1, "Recurrent layers.", minimum=1, maximum=64, flag="--layers")
    hidden_size: int = setting(128, "Units of each recurrent layer.", minimum=1, maximum=65536, by_text=True)
    embedding_size: int = setting(
        64,
        "Size of the token embedding; 0 uses one-hot vectors.",
        minimum=0,
        maximum=65536,
        flag="--embedding",
        shorthands={"--one-hot": 0},
        by_text=True,
    )
    embedding_norm: str = setting(
        "none", "Normalisation of the embedding: over each batch, or none.", choices=("none", "batch")
    )
    layer_norm: bool = setting(False, "Normalise the outputs of each recurrent layer before the next one.")
    activation: str = setting("tanh", "Activation of a simplernn or dense cell.", choices=("tanh", "relu"))
    recurrent_init: str = setting(
        "orthogonal",
        "Initialisation of the recurrent weights; identity is for simplernn and dense.",
        choices=("orthogonal", "identity", "glorot_uniform"),
    )
    dense_size: int = setting(0, "Units of a hidden Dense layer before the output; 0 for none.", minimum=0, maximum=65536)
    targets: str = setting(
        "all", "Predict the next token after every position, or after the last of a window.", choices=("all", "last")
    )
    dropout: float = setting(0.0, "Dropout rate of each recurrent layer's outputs.", minimum=0.0, maximum=0.95, by_text=True)
    input_dropout: float = setting(0.0, "Dropout rate of the first layer's inputs.", minimum=0.0, maximum=0.95)
    locked_dropout: bool = setting(False, "Drop the same units at every step of a window (variational dropout).", by_text=True)
    recurrent_dropout: float = setting(0.0, "Dropout rate of the recurrent values inside a layer.", minimum=0.0, maximum=0.95)
    weight_drop: float = setting(
        0.0,
        "Dropout rate of the recurrent weights, drawn again for each batch (DropConnect).",
        minimum=0.0,
        maximum=0.95,
        by_text=True,
    )
    unit_forget_bias: bool = setting(True, "Initialise the bias of the forget gate of an LSTM, multiplicative or not, to 1.")
    reset_after: bool = setting(True, "Apply a GRU's reset gate after the recurrent product (the cuDNN form).")

    def undropped(self) -> "NetworkConfig":
        """Return the network without dropout, as it is used after training."""
        return dataclasses.replace(
            self, dropout=0.0, input_dropout=0.0, locked_dropout=False, recurrent_dropout=0.0, weight_drop=0.0
        )


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """Define the training."""

    task: str = setting("generate", "Train to write text, or to predict the label of a text.", choices=("generate", "classify"))
    context_length: int | None = setting(None, "Tokens in a window.", minimum=1, maximum=1_000_000)
    stride: int | None = setting(None, "Tokens between the starts of two windows.", minimum=1, maximum=1_000_000)
    stateful: bool = setting(
        False, "Read the text as contiguous streams and carry the state from batch to batch.", by_text=True
    )
    jitter: bool = setting(
        False, "Split the streams at different places in each epoch, and reset the state now and then.", by_text=True
    )
    batch_size: int | None = setting(None, "Windows in a batch.", minimum=1, maximum=1_000_000)
    epochs: int = setting(60, "Most passes over the text.", minimum=1, maximum=1_000_000, by_text=True)
    patience: int = setting(
        6, "Stop after this many epochs without a better validation loss; 0 never stops early.", minimum=0, by_text=True
    )
    start_from: str | None = setting(
        None,
        "Run or model file to start from its weights; tokens are matched by their text.",
        flag="--from",
        unset="none",
    )
    memory: bool = setting(
        True, "Add an n-gram memory of the text to the model, whose predictions are mixed with the network's.", before=False
    )
    calibrate: bool = setting(
        False,
        "Divide the logits of the trained network by the temperature for which held-out text costs least.",
        by_text=True,
    )
    embeddings: str | None = setting(
        None, "File of word vectors, in the text form of word2vec or GloVe, to start the embedding from.", unset="none"
    )
    until_loss: float | None = setting(
        None, "Stop when the training loss of an epoch is at most this, in nats.", minimum=0.0, unset="none"
    )
    epoch_steps: int | None = setting(None, "Optimizer steps that count as an epoch.", minimum=1, unset="a pass over the text")
    validate_whole: bool = setting(
        False, "Measure all held-out text after each epoch, even if --epoch-steps makes epochs short."
    )
    optimizer: str = setting("adam", "Optimizer.", choices=("adam", "adamw", "muon", "rmsprop", "adagrad", "sgd"), by_text=True)
    learning_rate: float = setting(0.003, "Highest learning rate.", above=0.0, maximum=100.0, by_text=True)
    weight_decay: float = setting(0.004, "Weight decay of AdamW and Muon.", minimum=0.0, by_text=True)
    beta_2: float = setting(
        0.999,
        "Decay rate of the squared gradients in Adam, AdamW and Muon (beta_2).",
        minimum=0.0,
        maximum=0.999999,
        by_text=True,
    )
    schedule: str = setting(
        "constant",
        "Schedule of the learning rate: along a cosine to 0, in steps, or whenever the validation loss stops improving.",
        choices=("constant", "cosine", "step", "plateau"),
        by_text=True,
    )
    schedule_steps: tuple[int, ...] = setting(
        (),
        "Optimizer steps in each of the equal parts of the schedule, separated by commas, as --minutes records them.",
        minimum=0,
    )
    warmup_epochs: float = setting(0.0, "Epochs of rising learning rate at the start.", minimum=0.0, by_text=True)
    decay_epochs: int = setting(
        3, "Epochs between two steps of the learning rate; with plateau, epochs without a better validation loss.", minimum=1
    )
    decay_factor: float = setting(0.5, "Factor of the learning rate at each step or plateau.", above=0.0, maximum=1.0)
    clip_norm: float = setting(1.0, "Clip the gradient to this norm; 0 does not clip.", minimum=0.0)
    clip_value: float = setting(0.0, "Clip each entry of the gradient to this value; 0 does not clip.", minimum=0.0)
    backend: str = setting(
        "tensorflow",
        "Backend: Keras on TensorFlow, JAX or PyTorch, or a hand-written NumPy trainer.",
        choices=("tensorflow", "jax", "torch", "numpy"),
    )
    precision: str = setting(
        "float32",
        "Number format of the layers; weights, gradient sums and the loss are always float32. "
        "bfloat16_products, for CPUs, rounds only what layers multiply.",
        choices=("float32", "bfloat16_products", "mixed_bfloat16", "mixed_float16"),
    )
    members: int = setting(
        1,
        "Networks to train one after the other, in an equal share of the time each; their probabilities are averaged.",
        minimum=1,
        maximum=16,
        by_text=True,
    )
    checkpoint_seconds: float = setting(60.0, "Seconds between two checkpoints; each epoch also ends with one.", above=0.0)
    checkpoint_steps: int = setting(0, "Optimizer steps between two checkpoints; 0 uses only the seconds.", minimum=0)
    random_seed: int = setting(1, "Seed of all random numbers.", minimum=0, maximum=LARGEST_SEED)
    network_seed: int | None = setting(
        None,
        "Seed of the initial weights, the order of the text and dropout; what is held out depends on --random-seed alone.",
        minimum=0,
        maximum=LARGEST_SEED,
        unset="that of --random-seed",
    )

    @property
    def seed_of_network(self) -> int:
        """The seed of the initial weights, the order of the text and dropout."""
        return self.random_seed if self.network_seed is None else self.network_seed

    @property
    def epochs_of_all(self) -> int:
        """The epochs of all networks, at most."""
        return self.epochs * self.members

    @property
    def rate_is_scheduled(self) -> bool:
        """Whether the learning rate depends on the optimizer step."""
        return self.schedule in ("cosine", "step") or self.warmup_epochs > 0

    @property
    def may_end_early(self) -> bool:
        """Whether training may stop before its last epoch."""
        return self.patience > 0 or self.until_loss is not None


@dataclass(frozen=True, kw_only=True)
class SamplesConfig:
    """Define the sample text written during training."""

    sample_every: int = setting(1, "Epochs between two sample texts; 0 writes no samples.", minimum=0)
    diversity: tuple[float, ...] = setting(
        (0.5, 1.2), "Temperature of a sample text, or several separated by commas.", minimum=0.0
    )
    sample_length: int = setting(200, "Characters of a sample text.", minimum=1, maximum=1_000_000)


@dataclass(frozen=True, kw_only=True)
class TrackingConfig:
    """Define where a run is logged besides its own directory."""

    wandb: bool = setting(False, "Log the run to Weights & Biases.")
    wandb_project: str | None = setting(None, "Weights & Biases project.", unset="WANDB_PROJECT, else chargen")
    wandb_mode: str | None = setting(
        None,
        "Send the log while training, keep it in the run directory for wandb sync, or do neither.",
        choices=("online", "offline", "disabled"),
        unset="WANDB_MODE, else online",
    )
    wandb_group: str | None = setting(None, "Weights & Biases group of runs.", unset="WANDB_RUN_GROUP, else none")
    wandb_tags: tuple[str, ...] = setting((), "Weights & Biases tag; may be given several times.", flag="--wandb-tag")
    tensorboard: bool = setting(False, "Write TensorBoard event files into the run directory.")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Hold all settings of a run, by section."""

    corpus: CorpusConfig = field(default_factory=CorpusConfig)
    network: NetworkConfig = field(default_factory=NetworkConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    samples: SamplesConfig = field(default_factory=SamplesConfig)
    tracking: TrackingConfig = field(default_factory=TrackingConfig)

    def to_mapping(self) -> Mapped:
        """Return sections of plain values, without settings that are not chosen yet."""
        return {
            section: {name: _plain(value) for name, value in values.items() if value is not None}
            for section, values in dataclasses.asdict(self).items()
        }

    def to_toml(self) -> str:
        """Return the settings as a TOML text that `resolve` reads back to an equal object."""
        import tomli_w

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
        for declared in declared_fields(cls):
            yield section, *declared


def declared_fields(cls: Any) -> Iterator[tuple[dataclasses.Field[Any], Any, Setting]]:
    """Yield (field, type, setting) of every field of a class that users may set, in order."""
    types = get_type_hints(cls)
    for one in dataclasses.fields(cls):
        yield one, types[one.name], one.metadata["setting"]


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value

"""Type the keyword arguments of the Python interface. `make format` writes this file from the declared settings."""

from collections.abc import Sequence
from os import PathLike
from typing import Literal, TypedDict


class NetworkKeywords(TypedDict, total=False):
    """The settings of a network, named as the flags of `chargen train`; `chargen train --help-all` explains each."""

    cell: Literal["simplernn", "dense", "lstm", "mlstm", "gru"]
    layers: int
    hidden_size: int
    one_hot: bool
    embedding: int
    embedding_norm: Literal["none", "batch"]
    layer_norm: bool
    activation: Literal["tanh", "relu"]
    recurrent_init: Literal["orthogonal", "identity", "glorot_uniform"]
    dense_size: int
    targets: Literal["all", "last"]
    dropout: float
    input_dropout: float
    locked_dropout: bool
    recurrent_dropout: float
    weight_drop: float
    unit_forget_bias: bool
    reset_after: bool


class TrainKeywords(NetworkKeywords, total=False):
    """Every setting of a training, named as the flags of `chargen train`; `chargen train --help-all` explains each."""

    glob: str | None
    folder_files: Literal["clean", "all"]
    encoding: str
    format: Literal["auto", "text", "csv", "tsv", "jsonl", "json", "html", "notebook", "subtitles", "mail", "chat"]
    per_line: bool
    document: bool
    reading: Literal["auto", "line", "document"]
    separator: str | None
    file_reading: Sequence[str]
    tokens: Literal["char", "byte", "word", "bpe"]
    vocab_size: int | None
    label_by: Literal["none", "file", "folder", "speaker"]
    text_column: str | None
    label_column: str | None
    test: Sequence[str]
    mix: Sequence[str]
    strip_licence: bool
    validation_split: float
    validation: Literal["spread", "tail"]
    task: Literal["generate", "classify"]
    context_length: int | None
    stride: int | None
    stateful: bool
    jitter: bool
    batch_size: int | None
    epochs: int
    patience: int
    from_: str | PathLike[str] | None
    memory: bool
    calibrate: bool
    embeddings: str | None
    until_loss: float | None
    epoch_steps: int | None
    validate_whole: bool
    optimizer: Literal["adam", "adamw", "muon", "rmsprop", "adagrad", "sgd"]
    learning_rate: float
    weight_decay: float
    beta_2: float
    schedule: Literal["constant", "cosine", "step", "plateau"]
    schedule_steps: tuple[int, ...]
    warmup_epochs: float
    decay_epochs: int
    decay_factor: float
    clip_norm: float
    clip_value: float
    backend: Literal["tensorflow", "jax", "torch", "numpy"]
    precision: Literal["float32", "bfloat16_products", "mixed_bfloat16", "mixed_float16"]
    members: int
    checkpoint_seconds: float
    checkpoint_steps: int
    random_seed: int
    network_seed: int | None
    sample_every: int
    diversity: float | Sequence[float]
    sample_length: int
    wandb: bool
    wandb_project: str | None
    wandb_mode: Literal["online", "offline", "disabled"] | None
    wandb_group: str | None
    wandb_tag: Sequence[str]
    tensorboard: bool


class WritingKeywords(TypedDict, total=False):
    """How text is written, named as the flags of `chargen sample`; `chargen sample --help-all` explains each."""

    temperature: float | Sequence[float]
    top_k: int
    top_p: float
    greedy: bool
    repetition_penalty: float
    repetition_window: int
    cache: float
    ban: str
    random_seed: int | None
    beam: int | None
    length: int | None
    until: str | None
    min_length: int
    max_length: int | None
    must_contain: str
    novel: bool
    copy_length: int
    distinct: bool | None
    tries: int | None
    on_unknown: Literal["error", "skip", "nearest"]

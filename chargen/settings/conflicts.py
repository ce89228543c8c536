"""Check settings for conflicts."""

from chargen.errors import ConfigError
from chargen.settings.schema import NetworkConfig, Settings, TrainingConfig


def check_together(settings: Settings) -> None:
    """Raise ConfigError if two settings conflict."""
    _check_network(settings.network)
    corpus, training = settings.corpus, settings.training
    if corpus.vocab_size and corpus.tokens not in ("word", "bpe"):
        raise ConfigError(f"corpus.vocab_size is for word and bpe tokens, but corpus.tokens is {corpus.tokens}")
    if training.stateful and corpus.mix:
        raise ConfigError(
            "training.stateful reads one text from end to end, but corpus.mix draws from several",
            hint="choose one of --stateful and --mix",
        )
    if corpus.reading == "line" and corpus.separator not in (None, "none"):
        raise ConfigError(
            f"corpus.separator = {corpus.separator} conflicts with corpus.reading = line: both split the text",
            hint="choose one of --separator and --per-line",
        )
    if training.jitter and not training.stateful:
        raise ConfigError("training.jitter needs training.stateful", hint="add --stateful, or leave out --jitter")
    _check_schedule(training)
    _check_members(training)
    _check_task(settings)
    if training.stateful and settings.network.cell == "dense":
        raise ConfigError(
            "network.cell = dense starts each window from a zero state, but training.stateful carries the state",
            hint="choose --cell simplernn, which computes the same",
        )
    if training.stateful and corpus.reading == "line":
        raise ConfigError(
            "training.stateful carries the state from line to line, but corpus.reading = line keeps lines apart",
            hint="choose one of --stateful and --per-line",
        )
    if training.stateful and training.stride not in (None, training.context_length):
        raise ConfigError(
            f"training.stride = {training.stride} conflicts with training.stateful, whose windows follow each other",
            hint="leave out --stride",
        )


def _check_task(settings: Settings) -> None:
    corpus, training = settings.corpus, settings.training
    if corpus.label_column is not None and corpus.label_by != "none":
        raise ConfigError(
            f"corpus.label_column = {corpus.label_column} and corpus.label_by = {corpus.label_by} both give the labels",
            hint="choose one of --label-column and --label-by",
        )
    if training.task == "generate":
        if corpus.test_files:
            raise ConfigError(
                "corpus.test_files is for predicting labels, but training.task = generate writes text",
                hint="add --task classify, or leave out --test; chargen evaluate RUN FILE measures a run that writes text",
            )
        return
    if training.backend == "numpy":
        raise ConfigError("the NumPy trainer supports only training.task = generate", hint="use --backend tensorflow")
    at_odds = {
        "corpus.mix": corpus.mix,
        "training.stateful": training.stateful,
        "training.stride": training.stride,
        "training.epoch_steps": training.epoch_steps,
    }
    for name, value in at_odds.items():
        if value:
            raise ConfigError(f"{name} is for writing text, but training.task = classify predicts labels", hint="leave it out")


def _check_members(training: TrainingConfig) -> None:
    if training.members > 1 and training.task == "classify":
        raise ConfigError("training.members is for networks that write text, training.task is classify", hint="leave one out")


def _check_schedule(training: TrainingConfig) -> None:
    if training.schedule_steps[:1] == (0,):
        raise ConfigError("training.schedule_steps begins with 0, expected steps in the first part of the schedule")
    whole = f"as long as the training, training.epochs = {training.epochs}"
    if training.warmup_epochs >= training.epochs and training.warmup_epochs:
        raise ConfigError(
            f"training.warmup_epochs = {training.warmup_epochs:g} is {whole}",
            hint="give fewer --warmup-epochs or more --epochs",
        )
    if training.schedule in ("step", "plateau") and training.decay_epochs >= training.epochs:
        raise ConfigError(
            f"training.decay_epochs = {training.decay_epochs} is {whole}",
            hint="give fewer --decay-epochs or more --epochs",
        )
    if training.schedule == "plateau" and training.warmup_epochs:
        raise ConfigError("training.warmup_epochs conflicts with the plateau schedule", hint="choose --schedule cosine or step")
    if training.clip_norm and training.clip_value:
        raise ConfigError(
            f"training.clip_norm = {training.clip_norm:g} and training.clip_value = {training.clip_value:g} exclude each other",
            hint="set one of --clip-norm and --clip-value to 0",
        )


def _check_network(network: NetworkConfig) -> None:
    simple = network.cell in ("simplernn", "dense")
    if network.activation != "tanh" and not simple:
        raise ConfigError(
            f"network.activation = {network.activation} is for simplernn and dense, but the cell is {network.cell}"
        )
    if network.recurrent_init == "identity" and not simple:
        raise ConfigError(f"network.recurrent_init = identity is for simplernn and dense, but the cell is {network.cell}")
    if network.embedding_norm != "none" and not network.embedding_size:
        raise ConfigError(
            "network.embedding_norm needs an embedding, but the inputs are one-hot vectors", hint="give --embedding a size"
        )
    if network.layer_norm and network.num_layers == 1:
        raise ConfigError(
            "network.layer_norm is applied between recurrent layers, but there is only one", hint="give --layers 2 or more"
        )
    for name in ("recurrent_dropout", "weight_drop"):
        if network.cell == "dense" and getattr(network, name):
            raise ConfigError(f"network.{name} is not available for the dense cell", hint="choose --cell simplernn")
    if network.locked_dropout and not (network.dropout or network.input_dropout):
        raise ConfigError("network.locked_dropout needs dropout, but it is 0", hint="set --dropout to more than 0")

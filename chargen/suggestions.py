"""List words that people often type, and the corresponding options and commands.

`chargen.cli.suggesting` and `chargen.settings.layers` look up unknown words in these tables. A test checks that every
suggestion exists and that no word occurs twice in a table.
"""

from collections.abc import Iterable

Table = tuple[tuple[str, str], ...]

# Options: the possible meanings, of which the first that the command has is suggested, and the words typed for it, without
# dashes. A name in capitals is an argument.
OPTIONS: Table = (
    # The text to continue
    ("--seed TEXT", "prompt prime primer prefix start begin starts-with start-with seed-text prime-text start-text initial"),
    ("--seed TEXT", "start-string starting-text seed-string primetext prompt-text s"),
    ("TEXT --seed FILE --file", "text input-text string"),
    ("--seed-file", "prompt-file prime-file start-file prefix-file seed-from"),
    ("TEXT --random-seed", "seed"),
    ("--random-seed", "rng-seed rand-seed manual-seed random-state rng"),
    # How much is written, and which texts
    ("--count --top", "n num number amount samples texts times num-samples n-samples nsamples num-texts n-texts num-names"),
    ("--count", "num-return-sequences repeat"),
    ("--length", "l len max-length max-tokens max-new-tokens num-tokens n-tokens num-words num-predict n-predict"),
    ("--length --sample-length", "num-chars n-chars nchars num-characters n-characters max-chars characters"),
    ("--length --sample-length", "num-generate gen-length generate-length text-length output-length"),
    ("--length --hidden-size", "size"),
    ("--length --tokens", "chars words"),
    ("--until", "stop stop-at stop-sequence stop-token stop-text stop-string eos end"),
    ("--distinct", "unique uniq dedupe no-repeat no-repeats no-duplicates different"),
    ("--must-contain", "contains contain containing include must-include with"),
    ("--ban", "exclude forbid without avoid bad-words"),
    ("--novel", "new original"),
    # How it is drawn
    ("--temp --diversity", "temperature temperatures t temp heat diversity diversities"),
    ("--top-k --top", "k topk"),
    ("--top-p", "topp nucleus nucleus-p"),
    ("--top-p --port", "p"),
    ("--greedy", "argmax deterministic"),
    ("--beam", "beams num-beams beam-size beam-width beam-search"),
    ("--repetition-penalty", "repeat-penalty rep-penalty repetition"),
    # Which network
    ("--run --cell RUN", "model m"),
    ("--run --from RUN", "run r run-name run-id model-name model-path model-file model-dir load load-model load-dir load-from"),
    ("--run --from RUN", "checkpoint checkpoint-dir checkpoint-file checkpoint-path ckpt ckpt-path weights init-from"),
    ("--run --from RUN", "restore pretrained from-run name"),
    ("--from", "finetune fine-tune base-model start-from"),
    ("--resume", "continue resume-from resume-training initial-epoch"),
    ("--label", "class category author style speaker genre"),
    ("--label-by --prior", "labels label-from"),
    # Which text
    ("FILE --file --seed-file", "file files f i input inputs input-file filename path source src corpus corpus-file"),
    ("FILE --file --seed-file", "data dataset data-file data-path data-dir train-file train-data train text-file textfile txt"),
    # The network
    ("--cell", "cell-type rnn rnn-type model-type arch architecture network layer-type lstm mlstm gru simplernn simple-rnn"),
    ("--hidden-size", "units num-units n-units hidden-units hidden hidden-dim hidden-layer-size n-hidden nhid num-hidden"),
    ("--hidden-size", "rnn-size rnn-units lstm-size lstm-units gru-units state-size neurons width"),
    ("--layers", "num-layers n-layers nlayers n-layer depth"),
    ("--embedding", "embed embed-size embed-dim embedding-size embedding-dim emb emsize output-dim"),
    ("--tokens", "token tokenizer token-type level vocab"),
    ("--vocab-size", "vocabulary-size num-merges max-features input-dim"),
    # Training
    ("--learning-rate", "lr learn-rate learningrate eta step-size"),
    ("--decay-factor", "lr-decay learning-rate-decay decay factor gamma"),
    ("--schedule", "lr-schedule scheduler lr-scheduler"),
    ("--warmup-epochs", "warmup warmup-steps"),
    ("--epochs", "epoch num-epochs n-epochs nepochs max-epochs e iterations max-iters"),
    ("--epoch-steps", "steps-per-epoch"),
    ("--minutes --timeout", "time max-time duration budget"),
    ("--batch-size --count", "batch bs batchsize b minibatch mini-batch-size"),
    ("--context-length --length", "maxlen max-len"),
    (
        "--context-length",
        "seq-length seq-len seqlen sequence-length sequence-size bptt time-steps timesteps window window-size",
    ),
    ("--context-length", "context context-size input-length"),
    ("--context-length --block-length", "block-size"),
    ("--stride", "step skip shift"),
    (
        "--validation-split",
        "validation-data val-data val-split valid-split val-fraction val-frac dev-split test-size test-split holdout split",
    ),
    ("--optimizer", "optim optimiser"),
    ("--weight-decay", "wd l2"),
    ("--clip-norm", "clip grad-clip clip-grad gradient-clip gradient-clipping max-grad-norm clipnorm global-clipnorm"),
    ("--clip-value", "clipvalue"),
    ("--recurrent-init", "recurrent-initializer"),
    ("--dense-size", "dense dense-units"),
    ("--dropout", "drop dropout-rate drop-rate"),
    ("--patience", "early-stop early-stopping"),
    ("--per-line", "lines by-line line-by-line names linewise"),
    ("--sample-every", "sample-interval sample-frequency generate-every print-every"),
    ("--checkpoint-steps", "save-every save-freq save-interval checkpoint-every"),
    ("--backend", "framework engine"),
    ("--precision", "fp16 bf16 half amp mixed-precision dtype quantize"),
    ("--dry-run", "dry plan check"),
    ("--config", "conf cfg c config-file settings"),
    ("--wandb-project", "project wandb-name"),
    ("--wandb-tag", "tag tags"),
    ("--wandb-group", "group"),
    # What comes out, and where
    ("--output --html --runs-dir", "output out o outfile out-file output-file save save-to dest write-to"),
    ("--output --runs-dir", "output-dir out-dir save-dir save-path log-dir logdir"),
    ("--runs-dir", "dir runs run-dir runs-folder directory folder"),
    ("--format --html", "fmt type to as onnx html"),
    ("--json", "j as-json"),
    ("--quiet", "silent"),
    ("--host", "bind address hostname ip listen"),
    ("--max-concurrent", "max-requests concurrency"),
)

# The names of options as keyword arguments and in request bodies, where they differ.
KEYWORDS: dict[str, str] = {"--seed": "prompt", "--temp": "temperature", "FILE": "files"}

# Options that do not exist: the reason, and the words typed for them.
NO_OPTIONS: Table = (
    ("training uses a GPU automatically if the backend finds one", "gpu gpus cuda use-gpu gpu-id gpuid"),
    ("training uses a GPU if the backend finds one, else the CPU; writing needs only the CPU", "cpu device"),
    ("Bidirectional layers read what comes after a character, which is not there when text is written", "bidirectional bidir"),
    (
        "--targets all predicts at every position, as TimeDistributed(Dense) and return_sequences=True do",
        "time-distributed timedistributed return-sequences many-to-many",
    ),
    ("windows are shuffled in each epoch; with --stateful they are read in the order of the text", "shuffle no-shuffle"),
    ("the loss is the cross-entropy of the next token", "loss loss-function criterion"),
    ("each epoch reports the loss, bits a character, and of classifiers the accuracy", "metrics metric monitor"),
    ("chargen config list lists the configs; --config NAME takes one", "list-configs configs show-configs"),
    ("callbacks are for Python: chargen.train(..., callbacks=[...])", "callbacks callback"),
    ("the best model is kept in any case, and the last one beside it", "save-best-only save-best"),
    ("the text is read as it is; change the file before", "lower lowercase lowercased remove-punctuation clean"),
    ("texts of different lengths need no padding", "pad padding pad-sequences"),
    ("weights start as Keras's layers do; --recurrent-init is for the recurrent ones", "initializer init kernel-initializer"),
    ("LSTM and GRU have Keras's default activations; --activation is for simplernn and dense", "recurrent-activation"),
    ("Keras's default is used", "momentum nesterov rho epsilon amsgrad beta-1 use-bias unroll go-backwards"),
    ("sample texts begin with a piece of the text; chargen sample --seed TEXT begins with yours", "prompt prime start-text"),
    ("all cores are used", "workers num-workers threads num-threads cores jobs"),
)

# Commands: the meaning, perhaps with an option, and the words typed for it.
COMMANDS: Table = (
    ("sample", "generate gen write text create complete continue infer inference speak talk produce invent sampling samples"),
    ("next", "predict probabilities logits guess"),
    ("play", "chat interactive repl compose"),
    ("train", "fit learn init new start training train-model finetune fine-tune"),
    ("train --resume", "resume restart"),
    ("inspect", "check preview look examine stats statistics analyze analyse profile text-info"),
    ("tune", "search optimize optimise hyperopt sweep hpo"),
    ("evaluate", "eval test score validate measure perplexity ppl bpc loss"),
    ("novelty", "copies copied plagiarism memorization overlap originality"),
    ("surprise", "surprisal typos anomalies highlight"),
    ("units", "neurons activations visualize visualise cells"),
    ("classify", "classifier sentiment categorize label"),
    ("export", "convert package build onnx freeze save"),
    ("serve", "server web ui api http gui app"),
    ("runs", "ls list models experiments history status"),
    ("report", "info describe card"),
    ("compare", "diff versus leaderboard"),
    ("plot", "graph chart curve curves draw"),
    ("config show", "settings configuration options presets"),
    ("corpora", "datasets dataset data texts corpus"),
    ("corpora get", "download fetch get pull"),
    ("completion", "autocomplete completions"),
    ("--help", "help"),
    ("--version", "version"),
)

# The same for subcommands.
COMMANDS_BELOW: dict[str, Table] = {
    "corpora": (("get", "download fetch pull add install"), ("list", "ls show all")),
    "config": (("show", "print get dump view cat"), ("list", "ls all")),
}


def meaning(word: str, table: Table) -> str | None:
    """Return the meaning of a word in a table, or None.

    >>> meaning("prompt", OPTIONS), meaning("Generate", COMMANDS)
    ('--seed TEXT', 'sample')
    """
    return next((meant for meant, words in table if word.lower() in words.split()), None)


def most_similar(word: str, known: Iterable[str], *, count: int = 1, cutoff: float = 0.6) -> list[str]:
    """Return the known words that are spelt most like a word, the most similar first.

    cutoff: their least similarity, as `difflib` measures it.

    >>> most_similar("tempp", ["top-k", "temp"])
    ['temp']
    """
    from difflib import get_close_matches

    return get_close_matches(word, list(known), n=count, cutoff=cutoff)

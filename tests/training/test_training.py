import csv
import json
import os
import re
import signal
import subprocess
import sys
import tomllib
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result

from chargen.native.library import kernels_or_none
from chargen.network.model_file import load_model
from chargen.runs.directory import RunDirectory
from chargen.runs.trained_text import read_trained_text
from chargen.settings.layers import read_config, resolve
from chargen.training.forecast import SECONDS_TO_END
from chargen.writing.generation import sample_texts
from tests.writing.samplers import sampler_of

Train = Callable[..., Any]


def rows(run: RunDirectory) -> list[dict[str, str]]:
    with run.metrics.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("cell", ["simplernn", "lstm", "mlstm", "gru"])
@pytest.mark.parametrize(
    "form", [("--targets", "all"), ("--targets", "last", "--context-length", 9, "--stride", 5), ("--stateful",)]
)
def test_every_cell_and_form_learns(train: Train, prose: Path, cell: str, form: tuple[object, ...]) -> None:
    trained = train(prose, "--cell", cell, *form, "--epochs", 4, "--batch-size", 8, "--learning-rate", 0.02)
    assert trained.validation[-1] < trained.validation[0]


@pytest.mark.parametrize(
    "form",
    [
        ("--cell", "dense", "--context-length", 3, "--targets", "last", "--stride", 5),  # which does not divide its period
        ("--cell", "dense", "--context-length", 8),
        ("--cell", "simplernn", "--activation", "relu", "--recurrent-init", "identity"),
        ("--layers", 2, "--layer-norm", "--embedding-norm", "batch", "--stateful", "--batch-size", 4, "--learning-rate", 0.01),
    ],
    ids=lambda form: " ".join(map(str, form)),
)
def test_the_forms_of_the_lectures_learn(train: Train, prose: Path, form: tuple[object, ...]) -> None:
    trained = train(prose, "--epochs", 4, "--batch-size", 8, "--learning-rate", 0.02, *form)
    assert trained.validation[-1] < trained.validation[0]


def test_tokens_of_every_kind_learn_and_are_told_in_bits_a_character(train: Train, prose: Path) -> None:
    """The same text cut four ways: from the same untrained uniform guess, longer tokens carry more characters."""
    for kind in ("char", "byte", "word", "bpe"):
        options = (
            "--tokens",
            kind,
            "--backend",
            "numpy",
            "--epochs",
            4,
            "--batch-size",
            4,
            "--context-length",
            24,
            "--learning-rate",
            0.02,
        )
        trained = train(prose, *options)
        assert trained.validation[-1] < trained.validation[0]
        table, model = rows(trained.run), load_model(trained.run.model)
        assert type(model.vocabulary).kind.startswith(kind)
        nats = float(table[-1]["validation_cross_entropy"])
        bits = float(table[-1]["bits_per_character"])
        held_out = [str(one.text) for one in read_trained_text(trained.run, model).held_out]
        tokens, characters = sum(len(model.vocabulary.encode(text)) for text in held_out), sum(map(len, held_out))
        assert bits == pytest.approx(nats * tokens / characters / np.log(2), rel=1e-6)


def test_labels_are_learnt_with_their_documents(train: Train, in_folder: Path) -> None:
    (in_folder / "vowels.txt").write_text("aeiou\n" * 30, encoding="utf-8")
    (in_folder / "others.txt").write_text("bcdfg\n" * 30, encoding="utf-8")
    options = ("--label-by", "file", "--backend", "numpy", "--epochs", 6, "--batch-size", 8, "--learning-rate", 0.05)
    model = load_model(train("vowels.txt", "others.txt", *options).run.model)
    assert model.vocabulary.labels == ("others", "vowels")
    for label, letters in (("others", "bcdfg"), ("vowels", "aeiou")):
        (text,) = sample_texts(
            model.with_label(label),
            np.empty(0, int),
            count=1,
            length=9,
            sampler=sampler_of(temperature=0),
            rng=np.random.default_rng(1),
        )
        assert text == letters


def test_a_mix_learns(train: Train, prose: Path, names: Path) -> None:
    trained = train(
        "--mix",
        f"{prose}:3",
        "--mix",
        f"{names}:1",
        "--backend",
        "numpy",
        "--epochs",
        4,
        "--learning-rate",
        0.02,
        "--batch-size",
        4,
        "--context-length",
        9,
    )
    assert trained.validation[-1] < trained.validation[0]


def rates(run: RunDirectory) -> list[float]:
    return [float(row["learning_rate"]) for row in rows(run)]


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (("--warmup-epochs", 2), [0.012, 0.02, 0.02, 0.02]),
        (("--schedule", "cosine"), [0.0170711, 0.01, 0.0029289, 0.0]),
        (("--schedule", "step", "--decay-epochs", 2, "--decay-factor", 0.1), [0.02, 0.002, 0.002, 0.0002]),
        (("--schedule", "plateau", "--decay-epochs", 1), [0.02, 0.02, 0.02, 0.02]),
    ],
    ids=lambda one: str(one[-1]),
)
def test_the_learning_rate_follows_its_schedule(
    train: Train, prose: Path, schedule: tuple[object, ...], expected: list[float]
) -> None:
    """The rate noted for an epoch is that of the step after it."""
    sizes = ("--batch-size", 4, "--context-length", 64)
    trained = train(prose, *schedule, "--epochs", 4, *sizes, "--learning-rate", 0.02)
    assert rates(trained.run) == pytest.approx(expected, abs=1e-6)
    assert trained.validation[-1] < trained.validation[0]


def test_a_plateau_lowers_the_learning_rate(train: Train, prose: Path) -> None:
    """With a rate too low to change a weight no epoch is better than the first."""
    options = ("--schedule", "plateau", "--decay-epochs", 2, "--optimizer", "sgd", "--learning-rate", 1e-20, "--epochs", 6)
    assert rates(train(prose, *options).run) == pytest.approx([1e-20, 1e-20, 1e-20, 5e-21, 5e-21, 2.5e-21], rel=1e-6, abs=0)


def test_training_stops_at_a_loss(train: Train, prose: Path) -> None:
    trained = train(prose, "--until-loss", 2.5, "--epochs", 30, "--batch-size", 4, "--learning-rate", 0.02)
    losses = [float(row["cross_entropy"]) for row in rows(trained.run)]
    assert losses[-1] <= 2.5 < min(losses[:-1])


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "muon", "rmsprop", "adagrad", "sgd"])
def test_every_optimizer_learns(train: Train, prose: Path, optimizer: str) -> None:
    rate = 1.0 if optimizer == "sgd" else 0.02
    trained = train(prose, "--optimizer", optimizer, "--epochs", 3, "--batch-size", 4, "--learning-rate", rate)
    assert trained.validation[-1] < trained.validation[0]


@pytest.mark.parametrize("precision", ["bfloat16_products", "mixed_bfloat16", "mixed_float16"])
def test_lower_precision_learns_and_leaves_float32_weights(train: Train, prose: Path, precision: str) -> None:
    has_bfloat16 = kernels_or_none("bfloat16") is not None
    if precision == "bfloat16_products" and not has_bfloat16:
        pytest.skip("the processor has no bfloat16")
    options = ("--epochs", 3, "--batch-size", 4, "--learning-rate", 0.02)
    half, full = (train(prose, *options, "--precision", one) for one in (precision, "float32"))
    if "bfloat16" in precision and has_bfloat16:
        assert f"{precision} on a CPU rounds what layers multiply" in half.stderr
    else:
        assert f"{precision} is for GPUs: on a CPU the float32 layers are faster" in half.stderr
    assert half.validation[-1] == pytest.approx(full.validation[-1], abs=0.1)
    assert rows(half.run) != rows(full.run)
    assert load_model(half.run.model).network.weights["output.kernel"].dtype == np.float32


def test_every_layer_option_at_once(train: Train, prose: Path) -> None:
    shape = ("--cell", "gru", "--no-reset-after", "--layers", 2, "--dense-size", 6)
    options = (*shape, "--dropout", 0.1, "--recurrent-dropout", 0.1, "--epochs", 1)
    model = load_model(train(prose, *options).run.model)
    assert model.network.config.num_layers == 2
    assert model.network.weights["dense.kernel"].shape == (7, 6)


def test_the_run_directory_holds_everything(train: Train, names: Path) -> None:
    trained = train(names, "--epochs", 3, "--diversity", 0.3, "--sample-every", 2)
    run = trained.run
    assert run.path.parent == Path("runs")
    assert run.name.startswith("names-lstm-")
    assert {path.name for path in run.path.iterdir()} == {
        ".lock", "checkpoints", "config.toml", "metrics.csv", "gradients.csv", "samples.jsonl", "samples.txt",
        "model.safetensors", "last.safetensors", "versions.toml",
    }  # fmt: skip
    versions = tomllib.loads(run.versions.read_text(encoding="utf-8"))
    assert set(versions) == {"python", "chargen", "numpy", "keras", "tensorflow", "kernels"}
    assert versions["keras"] == version("keras")
    assert [row["epoch"] for row in rows(run)] == ["1", "2", "3"]
    samples = run.samples.with_suffix(".txt").read_text(encoding="utf-8")
    assert samples.count("----- diversity: 0.3") == 1
    assert "after epoch 2" in samples
    settings = resolve(read_config(str(run.config))).settings
    assert settings.training.context_length == len("Margaret") + 1
    assert settings.corpus.reading == "line"


def test_model_file_holds_the_best_epoch_and_last_the_last(train: Train, prose: Path) -> None:
    trained = train(prose, "--epochs", 8, "--learning-rate", 0.3, "--patience", 0, "--optimizer", "sgd", "--clip-norm", 0)
    losses = [float(row["validation_cross_entropy"]) for row in rows(trained.run)]
    assert load_model(trained.run.model).provenance["epochs"] == 1 + int(np.argmin(losses))
    assert load_model(trained.run.last_model).provenance["epochs"] == 8


def test_bits_per_character_are_those_that_the_model_file_gives(train: Train, names: Path) -> None:
    """Keras's mean over the epoch is the plain mean over the held-out names, computed with NumPy."""
    run = train(names, "--epochs", 2, "--batch-size", 3).run
    model = load_model(run.last_model)
    from chargen.corpus.corpus import load_corpus
    from chargen.training.planning.text_plan import make_plan

    settings = resolve(read_config(str(run.config))).settings
    validation = make_plan(settings, load_corpus(settings.corpus)).validation
    assert validation is not None
    total = weight = 0.0
    for step in range(validation.batches.num_steps):
        batch = validation.batches.batch(0, step)
        logits = model.network.logits(batch.inputs, model.network.zero_state(len(batch.inputs)))[0].astype(np.float64)
        logs = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
        chosen = np.take_along_axis(logs, batch.targets[..., None], axis=-1)[..., 0]
        total, weight = total - (chosen * batch.sample_weights).sum(), weight + batch.sample_weights.sum()
    assert total / weight == pytest.approx(float(rows(run)[-1]["validation_cross_entropy"]), abs=1e-5)


def test_equal_seeds_give_equal_bytes(train: Train, prose: Path) -> None:
    options = (prose, "--epochs", 2, "--dropout", 0.2, "--batch-size", 4)
    one, two, other = train(*options).run, train(*options).run, train(*options, "--random-seed", 2).run
    for name in ("model.safetensors", "metrics.csv", "samples.txt"):
        assert (one.path / name).read_bytes() == (two.path / name).read_bytes()
    assert one.model.read_bytes() != other.model.read_bytes()


def test_the_config_of_a_run_repeats_it(train: Train, names: Path) -> None:
    one = train(names, "--epochs", 2, "--layers", 2).run
    two = train("--config", one.config).run
    assert one.model.read_bytes() == two.model.read_bytes()


def test_patience_ends_training_early(train: Train, prose: Path) -> None:
    run = train(prose, "--epochs", 30, "--patience", 2, "--learning-rate", 50, "--clip-norm", 0).run
    assert len(rows(run)) < 30


def test_without_validation_the_training_loss_decides(train: Train, prose: Path) -> None:
    trained = train(prose, "--epochs", 2, "--validation-split", 0)
    assert not trained.validation
    assert rows(trained.run)[0]["validation_cross_entropy"] == ""


def test_samples_of_a_document_continue_a_prompt_out_of_it(train: Train, prose: Path) -> None:
    trained = train(prose, "--epochs", 1, "--context-length", 12)
    prompt = trained.stderr.split('Generating with seed: "')[1].split('"')[0]
    assert len(prompt) == 12
    assert prompt in prose.read_text(encoding="utf-8")
    for diversity in ("0.5", "1.2"):
        assert f"----- diversity: {diversity}\n" in trained.stderr


def test_quiet_says_nothing_and_stdout_is_the_run(invoke_train: Callable[..., Result], names: Path) -> None:
    result = invoke_train(names, "--epochs", 1, "-q")
    assert (result.exit_code, result.stderr) == (0, "")
    assert Path(result.stdout.strip()).is_dir()


def test_json_summary(invoke_train: Callable[..., Result], names: Path) -> None:
    summary = json.loads(invoke_train(names, "--epochs", 1, "-q", "--json").stdout)
    assert Path(summary["model"]).is_file()
    assert (summary["epochs"], summary["interrupted"]) == (1, False)


@pytest.mark.parametrize("backend", ["numpy", "tensorflow"])
def test_a_loss_that_is_not_finite_ends_training(invoke_train: Callable[..., Result], names: Path, backend: str) -> None:
    diverging = ("--cell", "simplernn", "--activation", "relu", "--optimizer", "sgd", "--learning-rate", 100, "--clip-norm", 0)
    result = invoke_train(names, "--epochs", 3, "--backend", backend, *diverging)
    assert result.exit_code == 1
    last_line = result.stderr.splitlines()[-1]
    assert re.search(r"the loss is (nan|inf) in epoch \d", last_line)
    assert "--learning-rate" in last_line
    assert not list(Path("runs").glob("*/model.safetensors")) or "holds the best model" in last_line


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_training_with_everything_saved(
    prose: Path, small: tuple[str, ...], tmp_path: Path, number: signal.Signals, code: int
) -> None:
    command = [sys.executable, "-m", "chargen", "train", str(prose), *small, "--epochs", "100000", "--patience", "0"]
    with subprocess.Popen(
        [*command, "--sample-every", "0"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        seen = ""
        while "epoch" not in seen.rpartition("parameters")[2].partition("backend")[2]:
            line = process.stderr.readline()
            assert line, seen
            seen += line
        process.send_signal(number)
        stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == code
    assert "interrupted, everything is saved" in stderr
    assert "Traceback" not in stderr
    run = RunDirectory(tmp_path / stdout.strip())
    assert load_model(run.model).provenance["epochs"] >= 1
    assert load_model(run.last_model).provenance["epochs"] == len(rows(run))


def test_start_up_chatter_never_shows(names: Path, small: tuple[str, ...], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "chargen", "train", str(names), *small, "--epochs", "1", "-q"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TF_")}
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=environment, check=True)
    assert done.stderr == ""
    assert len(done.stdout.splitlines()) == 1


def test_a_dry_run_tells_the_plan_and_leaves_nothing(invoke_train: Callable[..., Result], names: Path, tmp_path: Path) -> None:
    result = invoke_train(names, "--dry-run", "--epochs", 3, "--json")
    assert result.exit_code == 0, result.output
    forecast = json.loads(result.stdout)
    assert forecast["corpus"] == "names"
    assert forecast["epochs_at_most"] == 3
    assert forecast["characters"] == len(names.read_text().replace("\n", ""))
    expected = forecast["seconds_to_start"] + 3 * forecast["seconds_per_epoch"] + SECONDS_TO_END
    assert forecast["seconds_at_most"] == pytest.approx(expected, abs=0.2)
    assert forecast["seconds_to_start"] > 0
    assert re.search(r"^at most .+: .+ to start, .+ to train$", result.stderr, re.MULTILINE)
    assert forecast["characters_per_second"] > 0
    assert not (tmp_path / "runs").exists()
    shown = invoke_train(names, "--dry-run", "-q")
    assert re.search(rf"^parameters +{forecast['parameters']:,}$", shown.stdout, re.MULTILINE)
    assert shown.stderr == ""


def test_what_is_dropped_in_training_does_not_keep_the_gradient_log_from_being_written(
    train: Callable[..., Any], prose: Path
) -> None:
    dropped = ("--dropout", 0.1, "--locked-dropout", "--weight-drop", 0.1, "--recurrent-dropout", 0.1, "--input-dropout", 0.1)
    run = train(prose, *dropped, "--epochs", 1).run
    assert len((run.path / "gradients.csv").read_text(encoding="utf-8").splitlines()) == 2

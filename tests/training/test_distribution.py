"""Several processes train one network on loopback, and end together."""

import signal
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result

from chargen.corpus import shards
from chargen.corpus.token_folder import write_token_folder
from chargen.errors import ConfigError
from chargen.network.model_file import load_model
from chargen.settings.schema import CorpusConfig
from chargen.training.devices.distribution import ADDRESSES, NUM_PROCESSES, PROCESS_ID, joined
from chargen.training.signals import GRACE_SECONDS
from tests.training.processes import ENDLESS, ended, finished_epochs, only_run, started, training, wait_for_epochs
from tests.training.together import FORMS

REPOSITORY = Path(__file__).parents[2]
VARIABLES_AS_ARRAYS = "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"  # Keras, NumPy 2

needs_jax = pytest.mark.skipif(find_spec("jax") is None, reason="jax is not installed: make test-backends installs it")


@pytest.fixture(scope="module")
def steps(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, int, int], Path]:
    """Return the folder of what `tests.training.together` wrote in so many processes of so many devices; each is run once."""
    folder = tmp_path_factory.mktemp("together")
    (folder / "prose.txt").write_text("the cat sat on the mat.\nthe dog sat on the log.\n" * 25, encoding="utf-8")

    def run(name: str, processes: int, devices: int) -> Path:
        place = folder / name
        if not place.exists():
            place.mkdir()
            program = ("-W", "error", "-W", VARIABLES_AS_ARRAYS, "-m", "tests.training.together", folder, place)
            with started(*program, cwd=REPOSITORY, processes=processes, devices=devices) as found:
                for code, stdout, stderr in ended(found):
                    assert (code, stdout) == (0, ""), stderr
        return place

    run("alone", 1, 1)
    return run


@needs_jax
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("processes", "devices"), [(1, 2), (2, 1), (4, 1)])
def test_processes_together_train_as_one_does(steps: Callable[..., Path], form: str, processes: int, devices: int) -> None:
    alone, together = steps("alone", 1, 1), steps(f"{processes}-{devices}", processes, devices)
    expected = dict(np.load(alone / f"{form}-all-0.npz"))
    assert np.abs(expected["weight.0"] - np.load(alone / f"{form}-half-0.npz")["weight.0"]).max() > 1e-3
    for part in ("all", "resumed"):
        first = dict(np.load(together / f"{form}-{part}-0.npz"))
        assert first.keys() == expected.keys()
        for name, array in first.items():
            tolerance = 1e-3 if name == "figures" else 1e-5  # which are sums over all steps
            np.testing.assert_allclose(array, expected[name], atol=tolerance, rtol=1e-5, err_msg=name)
        for rank in range(1, processes):
            other = np.load(together / f"{form}-{part}-{rank}.npz")
            for name, array in first.items():
                np.testing.assert_array_equal(other[name], array, err_msg=name)


@needs_jax
def test_processes_that_read_their_own_shards_train_as_one_does(
    prose: Path, small: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards, "SHARD_TOKENS", 400)
    write_token_folder(tmp_path / "tokens", CorpusConfig(files=(str(prose),)), seed=1)
    options = ("--backend", "jax", "--epochs", 1, "--batch-size", 4, "--context-length", 9, "--sample-every", 0)
    networks = []
    for processes, devices in ((1, 1), (2, 1)):
        arguments = training("tokens", *small, *options, "--runs-dir", f"runs{processes}")
        with started(*arguments, cwd=tmp_path, processes=processes, devices=devices) as found:
            (code, stdout, stderr), *_ = ended(found)
        assert code == 0, stderr
        networks.append(load_model(tmp_path / stdout.strip() / "last.safetensors").network)
    for name, weight in networks[0].weights.items():
        np.testing.assert_allclose(networks[1].weights[name], weight, atol=1e-5, err_msg=name)


@needs_jax
def test_a_lost_process_ends_the_others_and_any_number_goes_on(prose: Path, small: tuple[str, ...], tmp_path: Path) -> None:
    with started(*training(prose, *small, "--backend", "jax", *ENDLESS), cwd=tmp_path, processes=2) as found:
        run = only_run(tmp_path)
        wait_for_epochs(run, 2)
        found[1].kill()
        left, killed = ended(found)
    assert left[0] == 1
    assert left[1] == ""
    assert "each batch is shared among 2 devices of 2 processes" in left[2]
    assert "chargen: another process of this training has ended" in left[2].splitlines()[-1]
    assert killed[1:] == ("", "")

    with started(*training("--resume"), cwd=tmp_path, devices=4) as found:
        before = finished_epochs(run)
        wait_for_epochs(run, 1)
        found[0].send_signal(signal.SIGINT)
        [(code, stdout, stderr)] = ended(found)
    assert (code, stdout.strip()) == (130, str(run.relative_to(tmp_path))), stderr
    assert "each batch is shared among 4 devices of 1 process\n" in stderr
    assert finished_epochs(run) > before

    with started(*training("--resume"), cwd=tmp_path, processes=4) as found:
        before = finished_epochs(run)
        wait_for_epochs(run, 1)
        found[1].send_signal(signal.SIGSTOP)
        found[2].send_signal(signal.SIGTERM)
        time.sleep(GRACE_SECONDS + 1)  # process 2 waits for process 1, or no process could write a checkpoint
        found[1].send_signal(signal.SIGCONT)
        first, *others = ended(found)
    assert (first[0], first[1].strip()) == (143, str(run.relative_to(tmp_path))), first[2]
    assert others == [(143, "", "")] * 3
    assert finished_epochs(run) > before
    assert only_run(tmp_path) == run


@needs_jax
def test_processes_that_have_finished_end_silently(tmp_path: Path) -> None:
    """Python must not exit while the thread that waits for errors of others is in C++."""
    program = "from chargen.training.devices.distribution import joined\nwith joined(4): pass"
    with started("-c", program, cwd=tmp_path, processes=4) as found:
        assert ended(found) == [(0, "", "")] * 4


@needs_jax
def test_the_first_process_is_not_outlived(prose: Path, small: tuple[str, ...], tmp_path: Path) -> None:
    with started(*training(prose, *small, "--backend", "jax", *ENDLESS), cwd=tmp_path, processes=2) as found:
        wait_for_epochs(only_run(tmp_path), 1)
        found[0].kill()
        _, (code, stdout, stderr) = ended(found)
    assert code != 0
    assert stdout == ""
    assert (
        "another process of this training has ended" in stderr or "another task died" in stderr
    )  # JAX may be the first to tell


@needs_jax
def test_an_error_of_one_process_is_told_to_the_others(prose: Path, small: tuple[str, ...], tmp_path: Path) -> None:
    arguments = ("train", "--distribute", prose, *small, "--backend", "jax", *ENDLESS)
    with started("-c", FAILS_IN_PROCESS_0, *arguments, cwd=tmp_path, processes=2) as found:
        (first, _, its_error), (second, _, told) = ended(found)
    assert (first, its_error.splitlines()[-1]) == (1, "chargen: a fault")
    assert (second, told) == (1, "chargen: another process of this training has ended (a fault)\n"), told


FAILS_IN_PROCESS_0 = """
import os
from chargen.cli import main
from chargen.errors import TrainingError
from chargen.training.recording import recorder

def fail(*arguments):
    if os.environ["KERAS_DISTRIBUTION_PROCESS_ID"] == "0":
        raise TrainingError("a fault")

recorder.EpochRecorder.check_finite = fail
main()
"""


@needs_jax
def test_processes_that_differ_do_not_begin(prose: Path, small: tuple[str, ...], tmp_path: Path) -> None:
    rank = "['--random-seed', os.environ['KERAS_DISTRIBUTION_PROCESS_ID']]"
    own = f"import os, sys; sys.argv += {rank}; from chargen.cli import main; main()"
    arguments = ("train", "--distribute", prose, *small, "--backend", "jax", "--batch-size", 4)
    with started("-c", own, *arguments, cwd=tmp_path, processes=2) as found:
        for code, _, stderr in ended(found):
            assert code == 2
            assert stderr.splitlines()[-1].startswith("chargen: the processes do not have the same settings; ")
    assert not list(tmp_path.glob("runs/*"))


@needs_jax
def test_a_batch_that_cannot_be_shared_is_refused(prose: Path, small: tuple[str, ...], tmp_path: Path) -> None:
    arguments = (prose, *small, "--backend", "jax", "--batch-size", 4)
    with started(*training(*arguments), cwd=tmp_path, devices=3) as found:
        [(code, stdout, stderr)] = ended(found)
    assert (code, stdout) == (2, "")
    assert stderr == (
        "chargen: training.batch_size is 4, expected a multiple of the 3 devices of 1 process; give --batch-size 3 or 6\n"
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "--distribute needs training.backend = jax, not tensorflow; give --backend jax"),
        (("--backend", "jax", "--minutes", "1"), "--minutes and --distribute cannot be used together"),
        (("--backend", "jax", "--dry-run"), "--dry-run measures one process"),
        (("--backend", "jax", "--task", "classify"), "--distribute is for writing text"),
        (("--backend", "jax", "--embedding-norm", "batch"), "network.embedding_norm = batch needs the whole batch"),
    ],
)
def test_what_does_not_go_with_it_is_said(
    invoke_train: Callable[..., Result], prose: Path, options: tuple[str, ...], message: str
) -> None:
    result = invoke_train(prose, "--distribute", *options)
    assert result.exit_code == 2
    assert result.stderr.startswith(f"chargen: {message}")
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({NUM_PROCESSES: "2", PROCESS_ID: "0"}, f"{ADDRESSES} is not set"),
        ({ADDRESSES: "here:1", NUM_PROCESSES: "two", PROCESS_ID: "0"}, f"{NUM_PROCESSES} is 'two', expected a whole number"),
        ({ADDRESSES: "here:1", NUM_PROCESSES: "2", PROCESS_ID: "2"}, f"{PROCESS_ID} is 2, expected a number below"),
        (
            {ADDRESSES: "here,there", NUM_PROCESSES: "2", PROCESS_ID: "0"},
            f"{ADDRESSES} begins with 'here', expected the host:port",
        ),
    ],
)
def test_variables_that_make_no_sense_are_told(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, Any], message: str
) -> None:
    monkeypatch.setattr("chargen.training.devices.distribution.need_backend", lambda name: None)
    for name in (ADDRESSES, NUM_PROCESSES, PROCESS_ID):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=message), joined(4):
        pass

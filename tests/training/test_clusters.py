"""What the manual shows for SLURM, Kubernetes and containers fits together and trains, with small programs in their place."""

import os
import re
import shlex
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click
import pytest

from chargen.cli.program import program
from chargen.training.devices.distribution import ADDRESSES, NUM_PROCESSES, PROCESS_ID
from tests.training.processes import ended, environments, started

REPOSITORY = Path(__file__).parents[2]
PAGE = (REPOSITORY / "docs" / "machines.md").read_text(encoding="utf-8")
PROSE = "the cat sat on the mat.\nthe dog sat on the log.\n" * 25
SMALL = "--config plain --hidden-size 4 --batch-size 4 --context-length 9 --epochs 1 --sample-every 0 --runs-dir runs"

SRUN = """#!/bin/bash
# Starts two tasks with the variables that SLURM sets.
while [[ $1 == -* ]]; do shift; done
export SLURM_JOB_ID=$$ SLURM_STEP_NODELIST=localhost SLURM_NTASKS=2 SLURM_STEP_NUM_NODES=1
SLURM_PROCID=1 SLURM_LOCALID=1 "$@" {small} &
SLURM_PROCID=0 SLURM_LOCALID=0 "$@" {small}
wait $!
"""
DOCKER = """#!/bin/bash
# Prints what would run in the container.
while [[ $1 != chargen* ]]; do shift; done
shift
printf '%s\\n' "$@"
"""

needs_jax = pytest.mark.skipif(find_spec("jax") is None, reason="jax is not installed: make test-backends installs it")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def write_program(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(text, encoding="utf-8")
    (folder / name).chmod(0o755)


def run_script(script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a script with the programs of a folder first on the path."""
    path = os.pathsep.join([str(folder), str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("TF_", "KERAS_"))}
    options: dict[str, Any] = {"cwd": folder, "env": environment | {"PATH": path}, "capture_output": True, "text": True}
    return subprocess.run(["bash", "-eu"], input=script, check=False, **options)


def assert_trains(arguments: list[str]) -> None:
    """Check that these are the options of a distributed training."""
    name, *options = arguments
    assert name == "train"
    command = program.get_command(click.Context(program), name)
    assert command is not None
    parsed = command.make_context(name, options).params
    assert (parsed["distribute"], parsed["training__backend"]) == (True, "jax")


@needs_jax
def test_the_slurm_script_trains_with_all_its_tasks(tmp_path: Path) -> None:
    script = next(block for block in blocks("bash") if "#SBATCH" in block)
    (tmp_path / "book.txt").write_text(PROSE, encoding="utf-8")
    write_program(tmp_path, "srun", SRUN.format(small=SMALL))
    done = run_script(script, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "devices of 2 processes" in done.stderr
    assert (tmp_path / done.stdout.strip() / "model.safetensors").is_file()


def test_commands_in_containers_are_those_of_chargen(tmp_path: Path) -> None:
    dockerfile = (REPOSITORY / "Dockerfile").read_text(encoding="utf-8")
    built = dict(re.findall(r"docker build --target (\w+) --tag (\S+) \.", "\n".join(blocks("bash"))))
    assert built == {"cpu": "chargen", "gpu": "chargen:gpu"}
    assert all(f"FROM base AS {target}\n" in dockerfile for target in built)
    for name in ("docker", "srun"):
        write_program(tmp_path, name, DOCKER)
    (docker,) = re.findall(r"^docker run .*\\\n.*\n", "\n".join(blocks("bash")), re.MULTILINE)
    assert run_script(docker, tmp_path).stdout.split() == ["train", "book.txt", "--backend", "jax"]
    (srun,) = [block for block in blocks("bash") if "apptainer run" in block]
    assert_trains(run_script(srun, tmp_path).stdout.split())


def kubernetes_job() -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Return the service, the job and the container of the manual."""
    yaml = pytest.importorskip("yaml")
    service, job = yaml.safe_load_all(blocks("yaml")[0])
    return service, job["spec"], job["spec"]["template"]["spec"]["containers"][0]


def test_the_parts_of_the_kubernetes_job_fit_together() -> None:
    service, job, container = kubernetes_job()
    pod = job["template"]["spec"]
    assert service["spec"]["selector"] == {"job-name": "chargen"}
    assert pod["subdomain"] == service["metadata"]["name"]
    variables = {one["name"]: one.get("value") for one in container["env"]}
    assert variables[ADDRESSES].partition(":")[0] == f"chargen-0.{pod['subdomain']}"
    assert int(variables[NUM_PROCESSES]) == job["completions"] == job["parallelism"]
    assert job["completionMode"] == "Indexed"
    assert [one["name"] for one in container["volumeMounts"]] == [one["name"] for one in pod["volumes"]]
    assert_trains(container["args"])


@needs_jax
def test_the_pods_of_the_kubernetes_job_train_together(tmp_path: Path) -> None:
    _, job, container = kubernetes_job()
    (tmp_path / "book.txt").write_text(PROSE, encoding="utf-8")
    names = [one["name"] for one in container["env"]]
    given = [set(one) & {ADDRESSES, NUM_PROCESSES, PROCESS_ID} for one in environments(job["completions"], 1)]
    assert given == [set(names)] * job["completions"]
    arguments = [one.replace("/runs/", "") for one in container["args"]]
    with started("-m", "chargen", *arguments, *shlex.split(SMALL), cwd=tmp_path, processes=job["completions"]) as found:
        outputs = ended(found)
    assert [code for code, _, _ in outputs] == [0, 0], outputs
    assert (tmp_path / outputs[0][1].strip() / "model.safetensors").is_file()

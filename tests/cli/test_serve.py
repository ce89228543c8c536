"""`chargen serve` as a process: what it says, how it ends, what it loads, and how much memory a hundred clients take."""

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from click.testing import Result

pytest.importorskip("starlette", reason="starlette is not installed: pip install 'chargen[serve]'")
pytest.importorskip("uvicorn", reason="uvicorn is not installed: pip install 'chargen[serve]'")

Invoke = Callable[..., Result]
WriteRun = Callable[..., Path]
Start = Callable[..., tuple[subprocess.Popen[str], str]]

REPORT = """
import atexit, sys
heavy = {"keras", "tensorflow", "jax", "torch", "wandb", "tensorboard", "matplotlib"}
atexit.register(lambda: print("loaded:", *sorted(heavy & set(sys.modules)), file=sys.stderr))
from chargen.cli import main
main()
"""


@pytest.fixture
def start(in_folder: Path) -> Iterator[Start]:
    """Start a server on a free port, and return the process and its address."""
    processes = []

    def begin(*arguments: str, program: tuple[str, ...] = ("-m", "chargen")) -> tuple[subprocess.Popen[str], str]:
        command = [sys.executable, *program, "serve", "--port", "0", *arguments]
        process = subprocess.Popen(command, cwd=in_folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        processes.append(process)
        assert process.stdout is not None
        return process, process.stdout.readline().strip()

    yield begin
    for process in processes:
        process.kill()
        process.communicate()


def complete(url: str, **body: Any) -> Any:
    with urlopen(Request(f"{url}api/complete", json.dumps(body).encode()), timeout=300) as answer:
        return json.loads(answer.read())


def assert_refused(result: Result, *parts: str) -> None:
    assert (result.exit_code, result.stdout) == (2, "")
    (line,) = result.stderr.splitlines()
    for part in parts:
        assert part in line


def test_it_writes_what_sample_writes(invoke: Invoke, write_run: WriteRun, start: Start) -> None:
    write_run()
    _, url = start("-q")
    for options in (["--random-seed", "7", "--temp", "0.7"], ["--greedy"]):
        body = {"temperature": 0} if "--greedy" in options else {"random_seed": 7, "temperature": 0.7}
        found = complete(url, prompt="Hab", **body)
        assert invoke("sample", "--seed", "Hab", *options).stdout == f"{found['prompt']}{found['text']}\n"


@pytest.mark.parametrize(("number", "code", "said"), [(signal.SIGINT, 130, "chargen: interrupted"), (signal.SIGTERM, 143, "")])
def test_it_ends_by_a_signal_in_one_line(
    number: signal.Signals, code: int, said: str, write_run: WriteRun, start: Start
) -> None:
    write_run()
    process, url = start("noise", "--max-length", "100000000")
    body = json.dumps({"length": 100_000_000, "stream": True}).encode()
    with urlopen(Request(f"{url}api/complete", body), timeout=60) as answer:
        assert answer.readline().startswith(b"data: ")
        process.send_signal(number)
        assert answer.read().endswith(b'data: {"stopped": "server"}\n\n')
    stdout, stderr = process.communicate(timeout=30)
    assert (process.returncode, stdout) == (code, "")
    assert stderr.split() == f"serving noise at {url} until Ctrl-C {said}".split()


def test_requests_are_logged_if_asked_for(write_run: WriteRun, start: Start) -> None:
    write_run()
    process, url = start("-v")
    urlopen(url, timeout=60).close()
    process.send_signal(signal.SIGTERM)
    _, stderr = process.communicate(timeout=30)
    date, clock, rest = stderr.splitlines()[1].split(" ", 2)
    assert datetime.fromisoformat(f"{date} {clock}").tzinfo
    assert rest.startswith("127.0.0.1 GET / 200 ")


def test_other_machines_need_a_token(invoke: Invoke, write_run: WriteRun, start: Start) -> None:
    write_run()
    assert_refused(invoke("serve", "--host", "0.0.0.0"), "lets other machines in, but there is no --token", "--no-token")
    assert_refused(invoke("serve", "--token", ""), "--token is empty")
    _, url = start("-q", "--host", "0.0.0.0", "--no-token")
    assert url.startswith("http://localhost:")
    assert complete(url, length=3)["text"]
    _, url = start("-q", "--host", "0.0.0.0", "--token", "secret")
    place, _, token = url.partition("?token=")
    assert token == "secret"
    with pytest.raises(HTTPError, match="401") as refused:
        complete(place, length=3)
    refused.value.close()
    with urlopen(Request(f"{place}api/model", headers={"Authorization": "Bearer secret"}), timeout=60) as answer:
        assert json.loads(answer.read())["name"]


def test_bad_names_are_refused(invoke: Invoke, write_run: WriteRun) -> None:
    write_run()
    assert_refused(invoke("serve", "--public-url", "example.org"), "--public-url is 'example.org'", "https://example.org/names")
    assert_refused(invoke("serve", "noise", "noise"), "two models are called noise")
    assert_refused(invoke("serve", "--unix-socket", "missing/x.sock"), "cannot listen on missing/x.sock")


def test_several_models_are_served_by_their_names(write_run: WriteRun, start: Start) -> None:
    write_run()
    copied = Path("other.safetensors")
    copied.write_bytes(Path("runs", "noise", "model.safetensors").read_bytes())
    _, url = start("-q", "noise", str(copied))
    with urlopen(f"{url}v1/models", timeout=60) as answer:
        assert [one["id"] for one in json.loads(answer.read())["data"]] == ["noise", "other"]
    assert complete(f"{url}models/other/", random_seed=1) == complete(url, random_seed=1)


def test_it_loads_no_keras(write_run: WriteRun, start: Start) -> None:
    write_run()
    process, url = start("-q", program=("-c", REPORT))
    complete(url, length=3)
    process.send_signal(signal.SIGTERM)
    assert process.communicate(timeout=30)[1] == "loaded:\n"


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="there is no /proc, which tells how much memory is used")
def test_a_hundred_clients_take_little_memory(write_run: WriteRun, start: Start) -> None:
    write_run()
    process, url = start("-q", "--timeout", "300")

    def memory() -> int:
        """Return the most that it has used, in MB."""
        status = Path(f"/proc/{process.pid}/status").read_text(encoding="ascii")
        return int(status.split("VmHWM:")[1].split()[0]) // 1024

    with ThreadPoolExecutor(100) as clients:
        before = memory()
        answers = list(clients.map(lambda seed: complete(url, prompt="ab" * 50, random_seed=seed), range(200)))
    assert len({one["text"] for one in answers}) == 200
    assert memory() < before + 30


def test_what_cannot_be_served_is_refused(invoke: Invoke, write_run: WriteRun, write_classifier: WriteRun) -> None:
    assert_refused(invoke("serve"), "no trained run", "chargen train")
    write_run()
    write_classifier()
    assert_refused(invoke("serve", "critic"), "holds a classifier")
    assert_refused(invoke("serve", "missing"), "no such run: missing")
    assert_refused(invoke("serve", "noise", "--port", "70000"), "--port")
    assert_refused(invoke("serve", "noise", "--timeout", "0"), "--timeout")
    assert_refused(invoke("serve", "noise", "--host", "192.0.2.1"), "cannot listen on 192.0.2.1, port 8000", "--port")
    assert_refused(invoke("serve", "noise", "--host", "no such host"), "cannot listen on no such host", "with --host")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert_refused(invoke("serve", "noise", "--port", port), f"port {port}: address already in use", "--port")


@pytest.mark.parametrize("missing", ["prometheus_client", "starlette", "uvicorn"])
def test_without_the_extra_one_line_says_how_to_get_it(
    missing: str, invoke: Invoke, write_run: WriteRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_run()
    monkeypatch.setitem(sys.modules, missing, None)
    assert_refused(
        invoke("serve"), "chargen serve needs starlette, uvicorn and prometheus-client", "pip install 'chargen[serve]'"
    )

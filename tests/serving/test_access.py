"""A server behind other names, with a token, for pages elsewhere, on a Unix socket and behind nginx."""

import os
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from time import sleep
from urllib.request import Request, urlopen

import pytest

from chargen.errors import ConfigError
from chargen.serving.access import Access, read_public_url
from chargen.serving.address import listen_on_file
from chargen.serving.limits import Limits
from chargen.serving.server import Server, Site, make_app
from chargen.settings.schema import NetworkConfig
from tests.export.forms import make_model
from tests.serving.served import served

LSTM = NetworkConfig(hidden_size=5, embedding_size=4)
PUBLIC = {"public_urls": (read_public_url("https://example.org/names"),)}


@pytest.mark.parametrize(
    "url", ["example.org", "ftp://example.org", "https://", "https://a/?b", "https://u@a/", "https://a/#b"]
)
def test_what_is_no_public_url(url: str) -> None:
    with pytest.raises(ConfigError, match="expected an address such as"):
        read_public_url(url)


def test_a_public_url_is_a_host_an_origin_and_a_prefix() -> None:
    with served(make_model(LSTM), access=PUBLIC) as server:
        for host in ("example.org", "127.0.0.1"):
            assert server.get("/", Host=host).status == 200
            assert server.get("/names/", Host=host).status == 200
            assert server.post("/names/api/next", {}, Host=host, Origin="https://example.org").status == 200
        assert server.get("/names", Host="example.org").headers["location"] == "/names/"
        assert server.post("/api/next", {}, Host="example.org", Origin="https://example.com").status == 403
        assert server.get("/", Host="example.com").status == 403
        assert server.get("/namesake/", Host="example.org").status == 404


def test_hosts_are_allowed_with_any_port() -> None:
    with served(make_model(LSTM), access={"hosts": ("names.local",)}) as server:
        assert [server.get("/", Host=host).status for host in ("names.local", "NAMES.local:80", "x.names.local")] == [
            200,
            200,
            403,
        ]


def test_pages_of_allowed_origins_may_ask() -> None:
    origin = "https://pages.example"
    with served(make_model(LSTM), access={"origins": (origin,)}) as server:
        asked = {"Origin": origin, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
        response = server.open("OPTIONS", "/api/next", **asked)
        assert (response.status, response.getheader("access-control-allow-origin")) == (200, origin)
        answer = server.post("/api/next", {}, Origin=origin)
        assert (answer.status, answer.headers["access-control-allow-origin"]) == (200, origin)
        assert answer.headers["cross-origin-resource-policy"] == "cross-origin"
        assert server.post("/api/next", {}, Origin="https://other.example").status == 403


def test_a_token_is_asked_for() -> None:
    with served(make_model(LSTM), access={"token": "s3cret"}) as server:
        refused = server.post("/api/next", {})
        assert (refused.status, refused.headers["www-authenticate"]) == (401, "Bearer")
        assert server.get("/").status == 401
        assert server.get("/health").json == {"status": "ok"}
        assert server.post("/api/next", {}, Authorization="Bearer wrong").status == 401
        assert server.post("/api/next", {}, Authorization="Bearer s3cret").status == 200
        entered = server.get("/?token=s3cret")
        assert (entered.status, entered.headers["location"]) == (303, "/")
        cookie = entered.headers["set-cookie"]
        assert "HttpOnly; SameSite=Strict" in cookie
        assert server.get("/", Cookie=cookie.split(";")[0]).status == 200
        assert server.get("/?token=wrong").status == 401
        assert "s3cret" not in "".join(server.logged)


def test_ipv6() -> None:
    if not socket.has_ipv6:
        pytest.skip("no IPv6")
    try:
        with served(make_model(LSTM), host="::1") as server:
            assert server.url == f"http://[::1]:{server.port}/"
            with urlopen(server.url, timeout=10) as answer:
                assert answer.status == 200
    except ConfigError as error:
        pytest.skip(error.message)


@pytest.fixture
def socket_server(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "names.sock"
    site, address = Site([("a", make_model(LSTM))], Limits()), listen_on_file(path)
    server = Server(site, make_app(site, Access(address=address, **PUBLIC), log=lambda line: None))
    thread = Thread(target=server.run, args=([address.listener],))
    thread.start()
    yield path
    site.stop()
    server.should_exit = True
    thread.join()
    site.close()


def test_a_unix_socket(socket_server: Path) -> None:
    with socket.socket(socket.AF_UNIX) as opened:
        opened.connect(str(socket_server))
        opened.sendall(b"GET / HTTP/1.1\r\nHost: example.org\r\nConnection: close\r\n\r\n")
        assert opened.recv(100).startswith(b"HTTP/1.1 200 ")
    with pytest.raises(ConfigError, match="another server listens on"):
        listen_on_file(socket_server)


def test_a_socket_that_was_left_is_replaced(tmp_path: Path) -> None:
    listen_on_file(tmp_path / "a.sock").listener.close()
    listen_on_file(tmp_path / "a.sock").listener.close()
    with pytest.raises(ConfigError, match="cannot listen on"):
        listen_on_file(tmp_path / "missing" / "a.sock")


NGINX = """
{user} daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log; worker_processes 1;
events {{ worker_connections 64; }}
http {{
  access_log off;
  client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  server {{
    listen 127.0.0.1:{port} ssl;
    ssl_certificate {folder}/cert.pem; ssl_certificate_key {folder}/key.pem;
    location /names/ {{ proxy_pass http://unix:{socket}; proxy_http_version 1.1; proxy_set_header Host example.org; }}
    location /stripped/ {{ proxy_pass http://unix:{socket}:/; proxy_set_header Host example.org; }}
  }}
}}
"""


@pytest.mark.skipif(not (shutil.which("nginx") and shutil.which("openssl")), reason="nginx or openssl is not installed")
def test_behind_nginx_with_tls_and_a_prefix(socket_server: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    certificate = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost"]
    subprocess.run(
        [*certificate, "-keyout", tmp_path / "key.pem", "-out", tmp_path / "cert.pem"], check=True, capture_output=True
    )
    config = tmp_path / "nginx.conf"
    user = "user root;" if os.geteuid() == 0 else ""  # so that its workers reach the folder of the test
    config.write_text(NGINX.format(user=user, folder=tmp_path, port=port, socket=socket_server), encoding="utf-8")
    socket_server.chmod(0o666)
    process = subprocess.Popen(["nginx", "-c", config, "-p", tmp_path], stderr=subprocess.DEVNULL)
    try:
        trusting = ssl._create_unverified_context()
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                assert process.poll() is None, (tmp_path / "error.log").read_text()
                sleep(0.05)
        for prefix in ("names", "stripped"):
            request = Request(
                f"https://127.0.0.1:{port}/{prefix}/api/complete", b'{"stream": true}', {"Origin": "https://example.org"}
            )
            with urlopen(request, timeout=10, context=trusting) as answer:
                assert answer.headers["x-accel-buffering"] is None  # nginx keeps it to itself
                assert answer.read().startswith(b'data: {"text": ')
    finally:
        process.terminate()
        process.wait()

"""Open the socket of a server, and check the host names of requests."""

import ipaddress
import re
import socket
from dataclasses import dataclass
from pathlib import Path

from chargen.errors import ConfigError

HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:[0-9]{1,5})?", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Address:
    """Hold a listening socket, and the requested host."""

    listener: socket.socket
    host: str

    @property
    def url(self) -> str:
        """The URL of the page, or the path of a Unix socket."""
        if self._is_file:
            return f"unix:{self.listener.getsockname()}"
        ip, port = self.listener.getsockname()[:2]
        named = "localhost" if ipaddress.ip_address(ip).is_unspecified else self.host
        return f"http://{f'[{named}]' if ':' in named else named}:{port}/"

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach it."""
        if self._is_file:
            return True
        return ipaddress.ip_address(self.listener.getsockname()[0]).is_loopback

    def is_called(self, host: str) -> bool:
        """Return whether a Host header names this server; any port is allowed, since a tunnel may change it.

        This protects against DNS rebinding: another site's name may point here, but a page of it cannot send a number or this
        machine's names as its host.
        """
        found = HOST.fullmatch(host)
        if not found:
            return False
        name = found[1].strip("[]").lower()
        if self._is_file:
            return name == "localhost"
        ip = self.listener.getsockname()[0]
        if name in {self.host.lower(), ip}:
            return True
        if self.is_local:
            return name == "localhost"
        return name in {"localhost", socket.gethostname().lower()} or _is_number(name)

    @property
    def _is_file(self) -> bool:
        return isinstance(self.listener.getsockname(), str)


def _is_number(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def listen(host: str, port: int) -> Address:
    """Listen on a host's address and a port, 0 for a free one. Raises ConfigError if that is impossible."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, where = found[0]
        listener = socket.create_server(where[:2], family=family, backlog=1024)
    except (OSError, UnicodeError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or "no such address"
        unknown = not isinstance(error, OSError) or isinstance(error, socket.gaierror)
        hint = "choose an address of this machine with --host" + (
            "" if unknown else ", or another --port; 0 chooses a free one"
        )
        raise ConfigError(f"cannot listen on {host}, port {port}: {reason.lower()}", hint=hint) from error
    return Address(listener=listener, host=host)


def listen_on_file(path: Path) -> Address:
    """Listen on a Unix socket, replacing one on which nobody listens. Raises ConfigError if that is impossible."""
    if not hasattr(socket, "AF_UNIX"):
        raise ConfigError("--unix-socket is not available on this system", hint="use --host and --port")
    if path.is_socket():
        with socket.socket(socket.AF_UNIX) as probe:
            if probe.connect_ex(str(path)) == 0:
                raise ConfigError(f"another server listens on {path}", hint="choose another --unix-socket")
        path.unlink()
    listener = socket.socket(socket.AF_UNIX)
    try:
        listener.bind(str(path))
    except OSError as error:
        listener.close()
        raise ConfigError(f"cannot listen on {path}: {error.strerror or error}", hint="choose another --unix-socket") from error
    listener.listen(1024)
    return Address(listener=listener, host="localhost")

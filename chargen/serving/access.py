"""Decide which requests a server answers: by host, origin and token."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs, urlsplit

from chargen.errors import ConfigError
from chargen.serving.address import Address

COOKIE = "chargen_token"
OPEN_PATHS = ("/health",)  # answered without a token


@dataclass(frozen=True, kw_only=True)
class PublicUrl:
    """An address under which a proxy offers the server. path: without a slash at its end."""

    scheme: str
    host: str
    path: str

    @property
    def origin(self) -> str:
        """Scheme and host, as a browser sends them."""
        return f"{self.scheme}://{self.host}"


def read_public_url(url: str) -> PublicUrl:
    """Read the URL of --public-url. Raises ConfigError for anything but http(s)://host[:port][/path]."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment or parts.username:
        raise ConfigError(f"--public-url is {url!r}, expected an address such as https://example.org/names")
    return PublicUrl(scheme=parts.scheme, host=parts.netloc.lower(), path=parts.path.rstrip("/"))


@dataclass(frozen=True, kw_only=True)
class Access:
    """The hosts and origins of requests that are answered, and the token that they need.

    hosts, origins: beside those of the server itself and of the public URLs; "*" stands for all origins. token: None for none.
    """

    address: Address
    public_urls: tuple[PublicUrl, ...] = ()
    hosts: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    token: str | None = None

    def refusal(self, scope: Mapping[str, Any]) -> tuple[int, str] | None:
        """Return the status and the reason for which a request is refused, or None."""
        hosts, origins = header_values(scope, b"host"), header_values(scope, b"origin")
        if len(hosts) != 1:
            return 403, "the request names no host"
        if not self._is_host(hosts[0]):
            return 403, f"the host {hosts[0]!r:.100} is not this server; chargen serve --allow-host adds it"
        for origin in origins:
            if not self._is_origin(origin, hosts[0]):
                return 403, f"the origin {origin!r:.100} is not this server; chargen serve --allow-origin adds it"
        if self.token is not None and scope["path"] not in OPEN_PATHS and scope["method"] != "OPTIONS":
            return None if self._has_token(scope) else (401, "the request has no valid token; send Authorization: Bearer TOKEN")
        return None

    def local_path(self, path: str) -> str:
        """Return the prefix of a path that a proxy has added, or an empty text."""
        prefixes = [one.path for one in self.public_urls if one.path]
        return next((one for one in prefixes if path == one or path.startswith(f"{one}/")), "")

    def token_of_query(self, scope: Mapping[str, Any]) -> str | None:
        """Return the valid token in the query of a request, as in the address that is printed at the start."""
        given = parse_qs(scope.get("query_string", b"").decode("latin-1")).get("token", [""])[0]
        return given if self._is_token(given) else None

    def _is_host(self, host: str) -> bool:
        name = host.lower()
        allowed = {*(one.host for one in self.public_urls), *(one.lower() for one in self.hosts)}
        return name in allowed or name.rpartition(":")[0] in allowed or self.address.is_called(host)

    def _is_origin(self, origin: str, host: str) -> bool:
        own = {f"http://{host.lower()}", *(one.origin for one in self.public_urls)}
        return origin.lower() in own or origin in self.origins or "*" in self.origins

    def _has_token(self, scope: Mapping[str, Any]) -> bool:
        bearers = [one.removeprefix("Bearer ") for one in header_values(scope, b"authorization")]
        return any(map(self._is_token, [*bearers, *map(_cookie, header_values(scope, b"cookie"))]))

    def _is_token(self, given: str) -> bool:
        return self.token is not None and secrets.compare_digest(given.encode(), self.token.encode())


def header_values(scope: Mapping[str, Any], name: bytes) -> list[str]:
    """Return the values of a request's header."""
    return [value.decode("latin-1") for one, value in scope["headers"] if one == name]


def _cookie(header: str) -> str:
    try:
        found = SimpleCookie(header).get(COOKIE)
    except CookieError:
        return ""
    return found.value if found else ""

"""Define the limits of a server, and the error for a request beyond them."""

from dataclasses import dataclass

LONGEST_TEXT = 20_000  # characters, or token ids
LARGEST_BODY = 1 << 18  # bytes


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Limit what clients may request."""

    length: int = 10_000  # characters of a completion
    concurrent: int = 100  # requests at work at a time
    queue: int = 1000  # requests that wait for their turn
    seconds: float = 30.0  # of a request


class RefusedError(Exception):
    """A request that is refused, with an HTTP status."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status

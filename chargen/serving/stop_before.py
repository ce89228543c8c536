"""Cut a text that comes in pieces before the first of some texts."""


class StopBefore:
    """Cut a text that comes in pieces before the first of some texts; once one was written, it is `found`."""

    def __init__(self, texts: tuple[str, ...]) -> None:
        self._texts = tuple(filter(None, texts))
        self._held, self.found = "", False  # held: the end of the text, where one of the texts may begin

    def cut(self, piece: str) -> str:
        """Return the text that is safe to show."""
        text = self._held + piece
        places = [place for place in (text.find(one) for one in self._texts) if place >= 0]
        if places:
            self.found, self._held = True, ""
            return text[: min(places)]
        held = max((length for one in self._texts for length in range(1, len(one)) if text.endswith(one[:length])), default=0)
        self._held = text[len(text) - held :]
        return text[: len(text) - held]

    def rest(self) -> str:
        """Return the text that was held back."""
        held, self._held = self._held, ""
        return held

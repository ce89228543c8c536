"""Read subtitles: SubRip (.srt) and WebVTT (.vtt)."""

import re
from html import unescape

from chargen.corpus.formats.turns import Turn

_TIMES = re.compile(r"\s*(?:\d+:)?\d{1,2}:\d{2}[.,]\d{1,3}\s*-->\s*(?:\d+:)?\d{1,2}:\d{2}[.,]\d{1,3}")
_VOICE = re.compile(r"<v(?:\.[^\s>]*)?\s+([^>]*)>")
_TAG = re.compile(r"</?[a-zA-Z0-9:][^<>]*>|\{\\[^{}]*\}")
_NO_CUE = re.compile(r"(WEBVTT|NOTE|STYLE|REGION)\b")


def subtitle_turns(text: str) -> list[Turn]:
    """Return the spoken text in order, without numbers, times and formatting; with speakers if a .vtt names them."""
    turns: list[Turn] = []
    for block in re.split(r"\n[ \t]*\n", text.removeprefix("\ufeff")):
        lines = block.strip("\n").split("\n")
        times = next((number for number, line in enumerate(lines[:3]) if _TIMES.match(line)), None)
        if times is None or (_NO_CUE.match(lines[0]) and times > 1):
            continue
        turns += _cue("\n".join(lines[times + 1 :]))
    return turns


def _cue(said: str) -> list[Turn]:
    """Return the turns of one cue; several voices may share it."""
    first, *voices = _VOICE.split(said)
    pairs = [("", first), *zip(voices[::2], voices[1::2], strict=True)]
    bare = [Turn(unescape(speaker).strip(), unescape(_TAG.sub("", text)).strip()) for speaker, text in pairs]
    return [turn for turn in bare if turn.text]

"""A labelled table of small texts of many kinds and scripts, each a list of entries or running text."""

import random
import textwrap
from collections.abc import Sequence
from itertools import cycle, islice
from pathlib import Path
from typing import NamedTuple


def read_parts(name: str) -> dict[str, str]:
    """Return the parts of a file of this folder by their names; each begins with "== NAME"."""
    _, *parts = (Path(__file__).with_name(name)).read_text(encoding="utf-8").split("\n== ")
    return {name: text.rstrip("\n") for name, _, text in (part.partition("\n") for part in parts)}


WORDS = {name: text.split("\n") for name, text in read_parts("words.txt").items()}
PASSAGES = read_parts("passages.txt")


class Labelled(NamedTuple):
    """A text and its label: "list" if every line is a separate entry, else "text".

    Blind sets also have "documents" with separators between them, and "either" for texts that a user may want as list or text.
    """

    name: str
    kind: str
    text: str


def labelled(parts: dict[str, str]) -> list[Labelled]:
    """Return texts named after their label and their own name."""
    return [Labelled(name.partition(" ")[2], name.partition(" ")[0], text) for name, text in parts.items()]


def shuffled(words: Sequence[str], count: int | None = None) -> list[str]:
    """Return `count` of the words, by default all, in an order that depends only on the words."""
    return random.Random(len(words)).sample(list(words), count or len(words))


def lines(entries: Sequence[str], form: str = "{}\n") -> str:
    """Return entries, one a line, each in a format."""
    return "".join(form.format(entry) for entry in entries)


def pairs(first: Sequence[str], second: Sequence[str], count: int = 30) -> list[str]:
    """Return names of two words."""
    return list(dict.fromkeys(f"{one} {two}" for one, two in islice(zip(cycle(first), cycle(second), strict=False), count)))


def wrapped(text: str, width: int) -> str:
    """Return a text with spaces wrapped at a width."""
    return textwrap.fill(text, width, break_long_words=False) + "\n"


def cut(text: str, width: int) -> str:
    """Return a text without spaces cut into lines of one length."""
    return "\n".join(text[start : start + width] for start in range(0, len(text), width)) + "\n"


def by_sentence(text: str, mark: str) -> str:
    """Return a text with a line for each sentence that ends with a mark."""
    return text.replace(mark, f"{mark.rstrip()}\n").rstrip("\n") + "\n"


def letters(alphabet: str, length: int, seed: int) -> str:
    """Return letters drawn from an alphabet."""
    return "".join(random.Random(seed).choices(alphabet, k=length))


AMINO, BASES, BASE64 = "ACDEFGHIKLMNPQRSTVWY", "ACGT", "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
RNG = random.Random(16)


def drawn(count: int, *parts: str) -> list[str]:
    """Return random texts: for each part one of its choices, which are separated by spaces."""
    return ["".join(RNG.choice(part.split()) for part in parts).replace("_", " ") for _ in range(count)]


FILES, RANKS = "a b c d e f g h", "1 2 3 4 5 6 7 8"
DRILL = drawn(40, "They We I You", "_see_ _hear_ _want_", "the_", " ".join(WORDS["words"]))
MOVES = drawn(40, "N B R Q", FILES, RANKS, "_", FILES, RANKS)
SHADES = "Pale Deep Royal Dusty Soft Old Bright"
DOUBLED_COLOURS = [
    " ".join(RNG.choices(SHADES.split(), k=count) + drawn(1, "Rose Clay Moss Sea Sand")) for count in (1, 2, 3, 4) * 12
]

LISTS = {
    "english names": lines(WORDS["english"]),
    "eight names": lines(WORDS["english"][:8]),
    "fifteen names": lines(shuffled(WORDS["english"], 15)),
    "lower-case names": lines([name.lower() for name in shuffled(WORDS["english"])]),
    "upper-case names": lines([name.upper() for name in pairs(WORDS["english"], WORDS["surnames"])]),
    "full names": lines(pairs(shuffled(WORDS["english"]), WORDS["surnames"])),
    "last name first": lines([", ".join(name) for name in zip(WORDS["surnames"], WORDS["english"], strict=False)]),
    "names with middle initials": lines([name.replace(" ", " A. ") for name in pairs(WORDS["english"], WORDS["surnames"])]),
    "names of four and five words": lines(WORDS["double names"]),
    "a blank line after each": lines(shuffled(WORDS["english"]), "{}\n\n"),
    "two blank lines after each": lines(shuffled(WORDS["german"]), "{}\n\n\n"),
    "a heading above": "List of names, compiled by hand in the old town office\n\n" + lines(shuffled(WORDS["english"])),
    "a comment above": "# names of boats; one a line, please keep it sorted\n" + lines(sorted(WORDS["english"])),
    "one word of a header": "name\n" + lines(pairs(WORDS["english"], WORDS["surnames"])),
    "(f) after each": lines([f"{name} ({mark})" for name, mark in zip(WORDS["english"], cycle("fmf"), strict=False)]),
    "a comma after each": lines(shuffled(WORDS["english"]), "{},\n"),
    "a semicolon after each": lines(shuffled(WORDS["russian"]), "{};\n"),
    "a tab after each": lines(shuffled(WORDS["english"]), "{}\t\n"),
    "a tab before each": lines(shuffled(WORDS["english"]), "\t{}\n"),
    "spaces before each": lines(WORDS["films"], "    {}\n"),
    "numbered": "".join(f"{number}. {name}\n" for number, name in enumerate(shuffled(WORDS["english"]), 1)),
    "numbered in brackets": "".join(f"{number}) {name}\n" for number, name in enumerate(WORDS["films"], 1)),
    "numbered by tabs": "".join(f"{number}\t{name}\n" for number, name in enumerate(WORDS["towns"], 1)),
    "dashes": lines(pairs(WORDS["english"], WORDS["surnames"]), "- {}\n"),
    "asterisks": lines(WORDS["colours"], "* {}\n"),
    "bullets": lines(WORDS["films"], "• {}\n"),
    "in quotes": lines(shuffled(WORDS["english"]), '"{}",\n'),
    "film titles": lines(WORDS["films"]),
    "headlines": lines(WORDS["headlines"]),
    "bills": lines(WORDS["acts"]),
    "long titles of bills": lines(WORDS["bills"]),
    "colours": lines(WORDS["colours"]),
    "doubled colours": lines(DOUBLED_COLOURS),
    "book titles with marks": lines(WORDS["questions on covers"]),
    "song titles": lines(WORDS["songs"]),
    "dishes": lines(WORDS["recipes"]),
    "towns": lines(WORDS["towns"]),
    "companies": lines(WORDS["companies"]),
    "domains": lines(WORDS["domains"]),
    "words": lines(WORDS["words"]),
    "words of five letters": lines(WORDS["words of five letters"]),
    "german words": lines(WORDS["german words"]),
    "finnish words": lines(WORDS["finnish words"]),
    "german names": lines(WORDS["german"]),
    "russian names": lines(shuffled(WORDS["russian"])),
    "russian full names": lines(pairs(WORDS["russian"], ["Орлов", "Зайцева", "Ким", "Петренко", "Соболь"])),
    "russian titles": lines(WORDS["russian titles"]),
    "french titles": lines(WORDS["french titles"]),
    "greek names": lines(shuffled(WORDS["greek"])),
    "vietnamese names": lines(WORDS["vietnamese"]),
    "chinese names": lines(WORDS["chinese"]),
    "chinese names of three characters": lines(WORDS["chinese full"]),
    "foreign names in chinese": lines(WORDS["foreign names in chinese"]),
    "chinese idioms": lines(WORDS["idioms"]),
    "chinese titles": lines(WORDS["chinese titles"]),
    "chinese titles in marks": lines(WORDS["chinese titles"], "《{}》\n"),
    "numbered chinese names": "".join(f"{number}、{name}\n" for number, name in enumerate(WORDS["chinese"], 1)),
    "japanese names": lines(WORDS["japanese"]),
    "japanese names in kana": lines(WORDS["kana"]),
    "japanese names with spaces": lines([f"{name[:2]}　{name[2:]}" for name in WORDS["japanese"]]),
    "foreign names in katakana": lines(WORDS["katakana"]),
    "japanese titles": lines(WORDS["japanese titles"]),
    "korean names": lines(WORDS["korean"]),
    "thai names": lines(WORDS["thai"]),
    "thai full names": lines(pairs(WORDS["thai"], WORDS["thai surnames"])),
    "arabic names": lines(WORDS["arabic"]),
    "arabic full names": lines(pairs(WORDS["arabic"], WORDS["arabic surnames"])),
    "hebrew names": lines(WORDS["hebrew"]),
    "hindi names": lines(WORDS["hindi"]),
    "burmese names": lines(WORDS["burmese"]),
    "khmer names": lines(WORDS["khmer"]),
    "georgian names": lines(WORDS["georgian"]),
    "emoji": lines(WORDS["emoji"]),
    "emoji and names": lines([f"{face} {name}" for face, name in zip(WORDS["emoji"], WORDS["english"], strict=False)]),
    "windows line ends": lines(shuffled(WORDS["english"]), "{}\r\n"),
}  # fmt: skip

TEXTS = {
    "english prose at 72": wrapped(PASSAGES["english"], 72),
    "english prose at 40": wrapped(PASSAGES["english"], 40),
    "english prose at 25": wrapped(PASSAGES["english"], 25),
    "english prose by the sentence": by_sentence(PASSAGES["english"], ". "),
    "english prose in one line a paragraph": (PASSAGES["english"] + "\n\n" + PASSAGES["english"].lower() + "\n\n") * 5,
    "english prose in capitals": wrapped(PASSAGES["english"].upper(), 60),
    "english prose without marks": wrapped(PASSAGES["plain english"], 45),
    "english prose with spaces between lines": wrapped(PASSAGES["english"], 60).replace("\n", "\n\n"),
    "indented prose": textwrap.indent(wrapped(PASSAGES["english"], 50), "    "),
    "quoted mail": textwrap.indent(wrapped(PASSAGES["english"], 60), "> "),
    "german prose at 60": wrapped(PASSAGES["german"], 60),
    "german prose at 30": wrapped(PASSAGES["german"], 30),
    "french prose": wrapped(PASSAGES["french"], 55),
    "spanish prose": wrapped(PASSAGES["spanish"], 35),
    "russian prose": wrapped(PASSAGES["russian"], 50),
    "greek prose": wrapped(PASSAGES["greek"], 40),
    "finnish prose": wrapped(PASSAGES["finnish"], 40),
    "turkish prose": wrapped(PASSAGES["turkish"], 45),
    "vietnamese prose": wrapped(PASSAGES["vietnamese"], 40),
    "arabic prose": wrapped(PASSAGES["arabic"], 45),
    "hebrew prose": wrapped(PASSAGES["hebrew"], 40),
    "hindi prose": wrapped(PASSAGES["hindi"], 40),
    "korean prose": wrapped(PASSAGES["korean"], 30),
    "chinese prose at 20": cut(PASSAGES["chinese"], 20),
    "chinese prose at 12": cut(PASSAGES["chinese"], 12),
    "chinese prose by the sentence": by_sentence(PASSAGES["chinese"], "。"),
    "chinese prose without marks": cut(PASSAGES["chinese"].replace("，", "").replace("。", ""), 18),
    "japanese prose at 25": cut(PASSAGES["japanese"], 25),
    "japanese prose at 10": cut(PASSAGES["japanese"], 10),
    "japanese prose by the sentence": by_sentence(PASSAGES["japanese"], "。"),
    "thai prose at 40": cut(PASSAGES["thai"], 40),
    "thai prose by the phrase": PASSAGES["thai"].replace(" ", "\n") + "\n" + PASSAGES["thai"][:200].replace(" ", "\n"),
    "thai prose at 25": cut(PASSAGES["thai"], 25),
    "khmer prose": cut(PASSAGES["khmer"], 30),
    "burmese prose": wrapped(PASSAGES["burmese"], 35),
    "poem without marks": PASSAGES["poem"],
    "blank verse": PASSAGES["blank verse"],
    "lyrics": PASSAGES["lyrics"],
    "german poem": PASSAGES["german poem"] * 2,
    "russian poem": PASSAGES["russian poem"] + "\n\n" + PASSAGES["russian poem"],
    "finnish poem": PASSAGES["finnish poem"],
    "norwegian song": PASSAGES["persian like lyrics"],
    "chinese couplets": PASSAGES["chinese couplets"],
    "chinese verse of five": PASSAGES["chinese five"],
    "chinese verse of seven": PASSAGES["chinese seven"],
    "chinese verse of seven in columns": "\n".join(" ".join(line) for line in PASSAGES["chinese seven"].split("\n")),
    "modern chinese poem": PASSAGES["chinese modern"],
    "japanese lines": PASSAGES["japanese lines"],
    "arabic poem": PASSAGES["arabic poem"],
    "play": PASSAGES["play"],
    "dialogue": PASSAGES["dialogue"],
    "subtitles": PASSAGES["subtitles"],
    "chat": PASSAGES["chat"],
    "fasta": "".join(f">seq{number}\n{letters(AMINO, 35, number)}\n" for number in range(20)),
    "fasta of genes": "".join(f">gene {number}\n{cut(letters(BASES, 47, number), 30)}" for number in range(12)),
    "dna at 40": cut(letters(BASES, 1000, 1), 40),
    "dna in lower case at 10": cut(letters(BASES.lower(), 300, 2), 10),
    "protein at 60": cut(letters(AMINO, 900, 3), 60),
    "bits": cut(letters("01", 600, 4), 16),
    "hexadecimal": cut(letters("0123456789abcdef", 640, 5), 32),
    "base64": cut(letters(BASE64, 912, 6), 76),
    "assembly": PASSAGES["assembly"],
    "assembly with marks": PASSAGES["assembly x86"],
    "python": PASSAGES["python"],
    "c": PASSAGES["c code"],
    "lisp": PASSAGES["lisp"],
    "basic": PASSAGES["basic"],
    "html": PASSAGES["html"],
    "log": PASSAGES["log"],
    "settings": PASSAGES["settings"],
    "yaml": PASSAGES["yaml"],
    "csv": PASSAGES["csv"],
    "abc tune": PASSAGES["abc tune"],
    "markdown": PASSAGES["markdown"],
    "recipe": PASSAGES["recipe"],
    "numbered steps": PASSAGES["steps"],
    "proverbs": PASSAGES["proverbs"],
    "typing drill": PASSAGES["typing"],
    "drill of sentences": lines(DRILL, "{}.\n"),
    "drill without marks": lines(DRILL),
    "morse": PASSAGES["morse"],
    "numbered moves": "".join(f"{number}. {move}\n" for number, move in enumerate(MOVES, 1)),
    "moves": lines(MOVES),
    "moves in figures": lines(drawn(40, FILES, RANKS, FILES, RANKS)),
    "counter": "".join(f"{number}\n" for number in range(1, 50)),
    "counter with dots": "".join(f"{number}.\n" for number in range(1, 50)),
    "numbers": "".join(f"{random.Random(number).random():.4f}\n" for number in range(40)),
    "columns of numbers": "".join(f"{number} {number * number} {number**3}\n" for number in range(30)),
    "dates": "".join(f"{1 + day % 28}.{1 + day % 12}.2024\n" for day in range(40)),
}  # fmt: skip

FIRST = [Labelled(name, kind, text) for kind, texts in (("list", LISTS), ("text", TEXTS)) for name, text in texts.items()]
MORE = labelled(read_parts("more.txt"))
TABLE = FIRST + MORE


def held_out(table: Sequence[Labelled]) -> list[Labelled]:
    """Return about every third text; the points of the signs were not tuned on these."""
    return [one for one in table if sum(map(ord, one.name)) % 3 == 0]

"""Texts that were written independently of the judgement: some before it was tuned, the others after."""

import random
import textwrap
from collections.abc import Sequence

from tests.corpus.layouts.table import TABLE, cut, labelled, letters, lines, read_parts

RNG = random.Random(1611)


def drawn(count: int, *parts: str) -> list[str]:
    """Return random texts: for each part one of its choices, which are separated by |."""
    return ["".join(RNG.choice(part.split("|")) for part in parts) for _ in range(count)]


def numbered(entries: Sequence[str]) -> str:
    """Return lines that begin with their number."""
    return lines([f"{number}. {entry}" for number, entry in enumerate(entries, 1)])


def phrases(words: str, fewest: int, most: int, count: int, form: str = "{}\n", between: str = "") -> str:
    """Return lines of random words, `fewest` to `most` in each."""
    return lines([between.join(RNG.choices(words.split(), k=RNG.randint(fewest, most))) for _ in range(count)], form)


BEGINNINGS = "Ka|Bel|Mor|Tha|Gry|El|Ser|Vi|Ro|Zan|Lu|Fen|Ul|Da"
ENDS = "ric|wen|dor|na|lis|mir|that|vin|gar|el|sa|don"
SURNAMES = f"{BEGINNINGS}|Ashcombe|Birch|Crowe|Dunn|Eames|Frost|Gale|Hobbs"
SQUARES = ("a|b|c|d|e|f|g|h", "1|2|3|4|5|6|7|8") * 2
MOVES = ("N|B|R|Q|", "a|b|c|d|e|f|g|h", "3|4|5|6")
HAN = "山 水 月 风 花 雪 夜 人 来 去 不 见 一 千 里 江 南 春 秋 雨 云 我 有 的 在 是 了 心 归 空 远 长"
THAI = "ฉัน เธอ บ้าน ไป มา กิน ข้าว รัก ฝน ตก ที่ ใน และ วัน นี้ ไม่ ได้ เห็น แม่ พ่อ เดิน ถนน ดอกไม้ นอน หลับ"
JAPANESE = "私は 海を 見た 雨が 降る 夜の 町に 猫が いる 君と 歩く 春の 風が 吹く 静かな 家で 眠る 朝の 光が"
ENGLISH = "the a old man river stone walked saw under over and but when she he it was light far away bell water night slowly"
PROSE = phrases(ENGLISH, 900, 900, 1, between=" ")
NAMES = drawn(500, BEGINNINGS, ENDS)

DRAWN = {
    "list 500 fantasy names": lines(NAMES),
    "list 300 names with titles": lines(drawn(300, BEGINNINGS, ENDS, " | of | the ", "Bold|Marsh|Grey Hills|Wise")),
    "list 200 titles of many words": lines(drawn(
        200, "The |A |My |Our ", "Secret |Last |Lost |Burning |Quiet |Second ", "House |Letter |Winter |Song |Bridge |Orchard ",
        "of the |in the |and the |beyond the |for a ", "Moon|Night|Baker's Wife|North Wind|Sleeping King|Dead",
    )),
    "either 200 lower-case headlines": lines(drawn(
        200, "minister |teacher |local man |city council |scientists |court ", "says |finds |wants |rejects |hides |may lose ",
        "a new |no |the old |more |another ", "tax |bridge |law |dog |school ", "in the north|after storm|before vote|",
    )),
    "list 120 tech headlines": lines(drawn(
        120, "Show HN: |Ask HN: |||", "How |Why ", "I |We |Startups ", "Built |Rewrote |Left |Broke ",
        "a Database |a Compiler |the Cloud |My Job |Email ", "in Rust|with Ten Lines of Lisp|for Fun|and Lived (2019)",
    )),
    "list 150 chinese names": lines(drawn(150, "王|李|张|刘|陈|杨|黄|吴", "小|文|志|海|雪|国|", "明|华|伟|梅|强|芳|龙")),
    "list 150 katakana names": lines(drawn(
        150, "アン|マリ|ジョ|ルイ|ケン|サラ|トム", "ナ|ー|ス|ン|リ", "・", "スミス|ブラウン|ガルシア|ロッシ",
    )),
    "list 60 recipe titles": lines(drawn(
        60, "Baked |Spicy |Grandma's |Easy |Creamy |", "Chicken |Tofu |Salmon |Mushroom |Aubergine ",
        "Curry|Pie|Soup|Stew|Salad|Risotto", "| with Lemon| with Garlic and Herbs| for Two| in a Hurry",
    )),
    "list 40 numbered names": numbered(drawn(40, BEGINNINGS, ENDS, " ", SURNAMES)),
    "list 30 names, a tab and a count": lines([f"{name}\t{RNG.randint(3, 9000)}" for name in NAMES[:30]]),
    "list 90 names, a comma and a count": lines([f"{name},{RNG.randint(3, 900)}" for name in NAMES[:90]]),
    "list 25 names, a blank line between": lines(drawn(25, BEGINNINGS, ENDS, " ", SURNAMES), "{}\n\n"),
    "text chinese couplets": lines([f"{one[:5]}，{one[5:]}。" for one in phrases(HAN, 10, 10, 60).split()]),
    "text chinese verse of seven": phrases(HAN, 7, 7, 80),
    "text chinese wrapped at 24": cut(phrases(f"{HAN} ， 。", 960, 960, 1).rstrip(), 24),
    "text thai sentences": phrases(THAI, 6, 14, 50),
    "text japanese lines": phrases(JAPANESE, 2, 4, 50, "{}。\n"),
    "text japanese lines without marks": phrases(JAPANESE, 3, 5, 50),
    "text arm assembly": lines(drawn(80, "mov |add |sub |xor |cmp ", "r0|r1|r2|r3", ", ", "r0|r1|r2|r3|#1|#8")),
    "text stack machine": lines(drawn(80, "PUSH 1|PUSH 2|PUSH 7|POP|ADD|SUB|MUL|JMP 12|JZ 30|DUP|SWAP|HALT")),
    "text 40 lines of dna": cut(letters("ACGT", 1600, 1), 40),
    "text 30 lines of protein in lower case": cut(letters("acdefghiklmnpqrstvwy", 1500, 2), 50),
    "text fasta with long headers": "".join(
        f">sp|Q{RNG.randint(10000, 99999)}|{name.upper()}_HUMAN\n{cut(letters('ACDEFGHIKLMNPQRSTVWY', 130, number), 60)}"
        for number, name in enumerate(NAMES[:15])
    ),
    "text games of moves in figures": lines([" ".join(drawn(12, *SQUARES)) for _ in range(40)]),
    "text numbered moves of pieces": numbered(drawn(60, *MOVES, " ", *MOVES)),
    "text drill of questions": lines(drawn(
        70, "Do |Can |Will ", "you |they |we ", "see |hear |take ", "the |a |my ", "boat|stone|lamp|bell|road", "?",
    )),
    "text steps with a counter": lines([
        f"Step {number}, {what}" for number, what in enumerate(drawn(50, "turn |move |look ", "left|right|up|down"), 1)
    ]),
    "text sums": lines([f"{one} + {two} = {one + two}" for one, two in zip(range(7, 67), range(90, 30, -1), strict=True)]),
    "text rows of notes": phrases("C4 D4 E4 F4 G4 A4 B4 C5 R", 8, 8, 40, between=" "),
    "text rows of chords": phrases("C G Am F Dm Em D7 Bb", 4, 4, 40, between=" "),
    "text csv of sensors": "time,temp,hum\n" + lines([
        f"{minute // 60:02}:{minute % 60:02},{RNG.uniform(5, 30):.1f},{RNG.randint(20, 99)}" for minute in range(0, 1440, 30)
    ]),
    "text words wrapped at 60": textwrap.fill(PROSE, 60) + "\n",
    "text words wrapped at 20": textwrap.fill(PROSE[:1500], 20) + "\n",
    "text a sentence a line": phrases(ENGLISH, 5, 12, 50, "{}.\n", " "),
}  # fmt: skip

FIRST_BLIND = labelled(read_parts("first_blind.txt") | DRAWN)
SECOND_BLIND = labelled(read_parts("second_blind.txt"))
ALL = TABLE + [one for one in FIRST_BLIND + SECOND_BLIND if one.kind in ("list", "text")]

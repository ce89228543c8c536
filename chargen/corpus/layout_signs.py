"""Measure signs that separate entries of a list from lines of running text.

Each sign is a share or a mean over the lines and is worth some points. Points above 0 mean that lines belong together, points
below 0 that each line is separate.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import pairwise
from statistics import fmean, pstdev
from typing import NamedTuple

from chargen.corpus.layout_lines import MIN_LINES, MIN_SHARE, Lines

LONGEST_STANZA = 20  # lines, on average
LONGEST_UNSPACED_NAME = 5  # letters
UNCASED = 0.3  # plain words that a word without capital and small letters counts as
SEVERAL_WORDS = 1.2  # in a line, on average
FITTING = 0.98  # share of the lines among which the longest is searched
WRAPPED_WORDS = 5  # in a line, on average, of text that is certainly wrapped
WORDS_OF_A_SENTENCE = 2.5  # at least, in a line, on average

# Blocks of scripts without spaces between words, and the largest number of letters in a name of one word or a title.
_HAN, _KANA, _OTHERS = "㐀-䶿一-鿿豈-﫿", "぀-ヿ", "฀-๿ກ-໿ༀ-࿿က-႟ក-៿"
_UNSPACED = {_HAN: (7, 14), _HAN + _KANA: (9, 15), _OTHERS: (12, 18)}

_EVEN_FROM = {_HAN + _KANA: 5, _OTHERS: 8}  # letters of a line that may be wrapped, on average

_SENTENCE_END = re.compile(r"[!?…。！？।॥؟۔።။៕]|\.(?<!\b[A-Z]\.)(?<!\b[A-Z][a-z]\.)(?<!\b[A-Z][a-z]{2}\.)")
_END = re.compile(rf"(?:{_SENTENCE_END.pattern}|(?<=[가-힣][가-힣])[다요까])[\"'”’»)」』]*$")
_INSIDE = re.compile(rf"(?:(?<=[^\W\d_]{2})(?<![A-Z][a-z])[.!?…][\"'”’»)]*\s+\S)|[。！？।॥؟۔።။៕]")
_CLAUSE = re.compile(r"[,;，；、،؛၊—](?:\s|$|[^\x00-\x7f])|[\"”“»«]")
_LABEL = re.compile(r"[^\s:=]{1,20}\s?[:=](?:\s+\S|$)|.{1,30}:$|[\w .-]{1,30}=")
_TIME = re.compile(r"\W?(?:\d{1,2}:\d\d|\d{4}-\d\d-\d\d)\b")
_CELL = re.compile(r"[,;|\t](?=[^\s,;|])|(?<=\S) {2,}(?=\S)")
_OPERAND = r"(?![A-Z][a-z])[^\s,]+"
_OPERANDS = re.compile(rf"(?:[\w.]+:\s*)?(?:[a-z]{{2,5}}|[A-Z]{{2,5}})\s+{_OPERAND},\s?{_OPERAND}$")
_COUNTER = re.compile(r"[^\W\d_]\D{0,20}[\s#](\d{1,4})\b")
_CODE = re.compile(r"[A-G][#b♯♭]?(?:m|M|maj|min|sus|dim|aug|add)?\d?(?:/[A-G][#b]?)?|O(?:-O)+|(?=\w*[^\W\d])\w*\d\w*[+#]?")
_BRACKET = re.compile(r"[={}()\[\]<>|\\;$*^]")
_SYMBOL = re.compile(r"[={}()\[\]<>|\\/;$%@#*+_~^:]")

# Words that are frequent in sentences and rare in titles: pronouns, auxiliaries, negations.
_PRONOUNS_AND_SUCH = """
    i you he she it we they me him her us them my your his its our their is was are were be been have has had do did not no
    will would can could there what when who so but if because don't can't i'm it's
    ich du er sie es wir ihr mich mir ihm ihn ist war sind hat habe hatte nicht kein wird aber auch noch als dass
    je tu il elle nous vous ils me te lui est était sont ai avait pas ne qui que mais se
    yo tú él ella lo le se es era son ha había no que pero mi su
    eu ele ela você não é são foi que mas io lui lei non è sono era che ma mi si
    ik hij zij wij is was zijn heeft niet maar jag han hon är var har inte men jeg er ikke var som så meg deg
    я ты он она оно мы вы они мне его её их не был была было были это что как но и же бы
    ben sen o biz siz onlar bu bir değil ama minä sinä hän me te he on oli ei ja että kun
    nie się jest na że jak już to w z do nem hogy egy az és nu să mi te că era
    ні що не я ти ми він вона це та й
    אני אתה הוא היא של את לא על כי מה אל לי לך יש אין
    في من لا ما يا هو هي كان على أن إلى قد عن أنا أنت
    که از به را در این آن تو من است بود نیست می
    là không có và của em anh tôi yang tidak aku kamu ini itu akan
    और है था थी हैं नहीं में वह यह मैं ने को की के από και να το είναι ήταν δεν που την τον
"""
_SENTENCE_WORDS = frozenset(_PRONOUNS_AND_SUCH.split())
_SENTENCE_PIECES = re.compile(
    "[的了是在我你他她们不有就也这那着过吗呢去はがをにでもたてるいだ]"
    "|ที่|ไม่|ฉัน|เธอ|ได้|ให้|เป็น|และ|แล้ว|ของ|กับ|จะ|นี้|ว่า|อยู่|ยัง|ใน|មាន|ជា|និង|បាន|នៅ|ដែល|သည်|တွင်|များ|ကို"
)


class Sign(NamedTuple):
    """A measured sign: no points up to `low`, all the points from `high` on, linear between."""

    name: str
    points: float
    low: float
    high: float
    measure: Callable[[Lines], float]

    def points_of(self, lines: Lines) -> float:
        """Return the points for the lines of a text."""
        share = (self.measure(lines) - self.low) / (self.high - self.low)
        return self.points * min(max(share, 0.0), 1.0)


def _is_plain(word: str, lines: Lines) -> bool:
    """Return whether a word has no capital letter although others do."""
    return word[0].isalpha() and (lines.is_upper or not word[0].isupper())


def _mean_per_line(count: float, lines: Lines) -> float:
    return count / len(lines.bare)


def _plain_words(lines: Lines) -> float:
    """Return the mean number of plain words a line after the first; a word of a script without capitals counts for more."""
    plain = [word for word in lines.later_words if _is_plain(word, lines)]
    uncased = sum(word.upper() == word.lower() for word in plain)
    return _mean_per_line(len(plain) + UNCASED * uncased, lines)


def _capitals(lines: Lines) -> float:
    """Return the share of words, except the first of each line, that begin with a capital letter."""
    later = [word for word in lines.later_words if len(word) > 2 and not any(map(str.isdigit, word)) and word[0].isalpha()]
    return fmean(word[0].isupper() for word in later) if len(later) > len(lines.later_words) / 4 and not lines.is_upper else 0.0


def running_on(lines: Lines) -> float:
    """Return the share of lines that begin with a small letter, if others begin with capitals and lines have several words."""
    if _mean_per_line(len(lines.all_words), lines) < WORDS_OF_A_SENTENCE:
        return 0.0
    begins = [line[0][0] for line in lines.words if len(line) > 1 and line[0][0].isalpha()]
    small, capital = sum(map(str.islower, begins)), sum(map(str.isupper, begins))
    return small / len(begins) if capital > 0.02 * len(begins) else 0.0


def _sentence_words(lines: Lines) -> float:
    """Return the share of words that are frequent in sentences; in scripts without spaces, the share of such letters."""
    long = "\n".join(line for line in lines.bare if _width(line) > LONGEST_UNSPACED_NAME)
    if pieces := "".join(_SENTENCE_PIECES.findall(long)):
        return len(pieces) / sum(map(len, lines.all_words))
    words = [line[0] for line in lines.words if line] + [word for word in lines.later_words if _is_plain(word, lines)]
    found = sum(word.casefold().replace("’", "'") in _SENTENCE_WORDS for word in words)
    return found / max(len(lines.all_words), 1)


def _width(line: str) -> int:
    """Return the width of a line in letters and marks, without combining marks."""
    return len(line) if line.isascii() else sum(unicodedata.category(letter) != "Mn" for letter in line)


def _evenness(lines: Lines) -> float:
    """Return 1 for lines without spaces of equal length, and less the more the lengths differ."""
    if _mean_per_line(len(lines.all_words), lines) > SEVERAL_WORDS:
        return 0.0
    bare = lines.bare[: -1 if len(lines.bare) > MIN_LINES else None]
    least = next((least for block, least in _EVEN_FROM.items() if _unspaced_share(lines, block) > 0.5), 24)
    if len(bare) < 3 or fmean(map(_width, bare)) < least:
        return 0.0
    return max(1 - pstdev(widths) / fmean(widths) for widths in (list(map(len, bare)), list(map(_width, bare))))


def _wrapped(lines: Lines) -> float:
    """Return the share of lines without room for the first word of the next line.

    If lines have few words, it counts for less unless the first words of other lines would fit more often.
    """
    pairs = [(_width(one), _width(two.split()[0])) for block in lines.blocks for one, two in pairwise(block.split("\n"))]
    words_a_line = _mean_per_line(len(lines.all_words), lines)
    if len(pairs) < MIN_LINES - 2 or words_a_line < WORDS_OF_A_SENTENCE:
        return 0.0
    widths, words = zip(*pairs, strict=True)
    room = sorted(map(_width, lines.full))[int(FITTING * (len(lines.full) - 1))]
    full = _share_full(widths, words, room)
    if words_a_line >= WRAPPED_WORDS:
        return full
    by_chance = fmean(_share_full(widths, words[shift:] + words[:shift], room) for shift in range(1, 6))
    beyond_chance = (full - by_chance) / (0.1 + 1 / len(pairs))  # with few lines more may be chance
    return full * min(max(beyond_chance, words_a_line / WRAPPED_WORDS), 1.0)


def _share_full(widths: Sequence[int], words: Sequence[int], room: int) -> float:
    return fmean(width + 1 + word > room for width, word in zip(widths, words, strict=True))


def _unspaced_share(lines: Lines, block: str) -> float:
    letters = lines.letters.total()
    return sum(count for letter, count in lines.letters.items() if re.match(f"[{block}]", letter)) / letters if letters else 0.0


def _unspaced(lines: Lines) -> float:
    """Return how much longer words of a script without spaces are than names and titles: 0 to 1."""
    if not lines.all_words:
        return 0.0
    for block, (low, high) in _UNSPACED.items():
        if _unspaced_share(lines, block) > 0.8:
            longest = [max(map(_width, line), default=0) for line in lines.words]
            return (fmean(longest) - low) / (high - low)
    return 0.0


def _long_words(lines: Lines) -> float:
    if _unspaced(lines) > 0:
        return 0.0
    words = [part for word in lines.all_words for part in re.split(r"[-./_@]", word) if part]
    return fmean(map(len, words)) if words else 0.0


def _few_letters(lines: Lines) -> float:
    """Return 1 if the lines differ but use almost no distinct letters, as in DNA and typing drills."""
    letters = [letter for line in set(lines.bare) for letter in line.casefold() if letter.isalpha()]
    return 1.0 if len(letters) >= 60 and len(set(letters)) <= 10 else 0.0


def _short_words(lines: Lines) -> float:
    """Return how far the mean length of small-letter words is below 4, if lines have several words."""
    words = [word for word in lines.later_words if _is_plain(word, lines) and word.isascii()]
    return 4 - fmean(map(len, words)) if _mean_per_line(len(words), lines) > 0.5 else 0.0


def _repeats(lines: Lines) -> float:
    """Return the share of words that occur earlier in the same line."""
    repeated = sum(len(line) - len({word.casefold() for word in line}) for line in lines.words)
    return repeated / max(len(lines.all_words), 1)


def _closed_vocabulary(lines: Lines) -> float:
    """Return how often words recur, if lines have several: 0 for never."""
    words = [word.casefold() for word in lines.all_words]
    return 1 - len(set(words)) / len(words) if _mean_per_line(len(words), lines) >= 2 else 0.0


def _lines_repeated(lines: Lines) -> float:
    """Return the share of lines that occur earlier, if lines have several words."""
    several = _mean_per_line(len(lines.all_words), lines) >= SEVERAL_WORDS
    return 1 - len(set(lines.bare)) / len(lines.bare) if several else 0.0


def _digits(lines: Lines) -> float:
    """Return the share of digits; digits in a word with letters, as in a password, count half."""
    words = [word for line in lines.bare for word in line.split()]
    digits = sum(sum(map(str.isdigit, word)) / (2 if any(map(str.isalpha, word)) else 1) for word in words)
    return digits / max(sum(map(len, words)), 1)


def _symbols(lines: Lines) -> float:
    """Return the share of symbols; in lines of one word, such as addresses, only brackets and similar signs count."""
    count = sum(len((_SYMBOL if " " in line else _BRACKET).findall(line)) for line in lines.bare)
    return count / sum(map(len, lines.bare))


def _indents(lines: Lines) -> float:
    """Return the share of lines whose indentation differs from most; right-aligned numbers do not count."""
    indents = Counter("" if (bare := line.lstrip())[0].isdigit() else line[: -len(bare)] for line in lines.full)
    return 1 - indents.most_common(1)[0][1] / indents.total()


def _stanzas(lines: Lines) -> float:
    """Return the number of blocks of several lines between blank lines; if most are equal in size, each counts as three."""
    sizes = Counter(block.count("\n") + 1 for block in lines.blocks)
    equal = 3 if sizes.total() > 2 and sizes.most_common(1)[0][1] >= MIN_SHARE * sizes.total() else 1
    return equal * sizes.total() if sizes and 2 <= fmean(sizes.elements()) <= LONGEST_STANZA else 0.0


def _same_beginning(lines: Lines) -> float:
    """Return the share of lines, each counted once, that are long and begin with the same three words."""
    distinct = {tuple(line) for line in lines.words}
    begins = Counter(line[:3] for line in distinct if len(line) >= 6)
    return begins.most_common(1)[0][1] / len(distinct) if begins and len(distinct) >= MIN_LINES - 1 else 0.0


def _sorted(lines: Lines) -> float:
    words = [line.casefold() for line in lines.bare if line[0].isalpha()]
    if len(words) < max(MIN_LINES - 1, MIN_SHARE * len(lines.bare)) or len(set(words)) < len(words) / 2:
        return 0.0
    return fmean(one <= two for one, two in pairwise(words))


def _counted(lines: Lines) -> float:
    """Return the share of lines whose number, not at the start, is one more than that of the line before."""
    numbers = [int(found[1]) if (found := _COUNTER.match(line)) else -1 for line in lines.bare]
    return fmean(0 <= one == two - 1 for one, two in pairwise(numbers)) if len(numbers) > 2 else 0.0


def _codes(lines: Lines) -> float:
    """Return the share of words that are chords or codes of letters and digits, if lines have several words.

    If some lines consist only of them, as above the lines of a song, the share is doubled.
    """
    if _mean_per_line(len(lines.all_words), lines) < SEVERAL_WORDS:
        return 0.0
    codes = [[_CODE.fullmatch(word) is not None for word in line] for line in lines.words if line]
    return max(2 * fmean(map(all, codes)), sum(map(sum, codes)) / len(lines.all_words))


def _times(lines: Lines) -> float:
    return fmean(_TIME.match(line.lstrip()) is not None for line in lines.full)


def _headers(lines: Lines) -> float:
    return fmean(line.lstrip().startswith(">") for line in lines.full)


SIGNS = (
    Sign("sentences", 1.2, 0.2, 0.6, lambda lines: lines.share(lambda line: _END.search(line) or _INSIDE.search(line))),
    Sign("clauses", 0.9, 0.2, 0.6, lambda lines: lines.share(_CLAUSE.search)),
    Sign("running on", 1.2, 0.15, 0.5, running_on),
    Sign("plain words a line", 1.0, 2.0, 5.0, _plain_words),
    Sign("words of sentences", 0.9, 0.08, 0.17, _sentence_words),
    Sign("wrapped", 1.1, 0.85, 0.97, _wrapped),
    Sign("even widths", 1.2, 0.88, 0.97, _evenness),
    Sign("long runs without spaces", 1.3, 0.0, 1.0, _unspaced),
    Sign("long words", 1.2, 16, 25, _long_words),
    Sign("few letters", 1.2, 0.0, 1.0, _few_letters),
    Sign("short words", 1.0, 0.4, 1.2, _short_words),
    Sign("words repeated in a line", 1.2, 0.2, 0.4, _repeats),
    Sign("few words", 0.3, 0.6, 0.8, _closed_vocabulary),
    Sign("lines repeated", 1.2, 0.65, 0.85, _lines_repeated),
    Sign("digits", 1.6, 0.15, 0.35, _digits),
    Sign("symbols", 1.4, 0.02, 0.1, _symbols),
    Sign("labels", 1.0, 0.3, 0.8, lambda lines: lines.share(_LABEL.match)),
    Sign("times", 1.2, 0.3, 0.8, _times),
    Sign("counter", 2.0, 0.4, 0.8, _counted),
    Sign("operands", 1.2, 0.15, 0.45, lambda lines: lines.share(_OPERANDS.match)),
    Sign("codes", 1.2, 0.4, 0.8, _codes),
    Sign("columns", 2.6, 0.3, 0.8, lambda lines: lines.share(lambda line: len(_CELL.findall(line)) > 1)),
    Sign("headers", 1.5, 0.0, 0.1, _headers),
    Sign("indents", 1.0, 0.1, 0.3, _indents),
    Sign("stanzas", 1.1, 1, 8, _stanzas),
    Sign("capitals", -1.1, 0.25, 0.6, _capitals),
    Sign("same beginning", -4.0, 0.4, 0.9, _same_beginning),
    Sign("sorted", -1.0, 0.9, 1.0, _sorted),
)

"""Tell what English texts of a size usually reach, so that a figure in bits a character means something."""

from chargen.corpus.corpus import Corpus

# Characters of a text, and the bits a character of its held-out part with the automatic settings: of a novella, from 540,000
# characters on of Nietzsche and of Shakespeare. benchmarks/short_texts.py and benchmarks/quality.py measure them.
USUAL_BITS = ((1_000, 3.1), (3_000, 2.9), (10_000, 2.4), (30_000, 2.1), (60_000, 1.9), (540_000, 1.8), (1_000_000, 2.0))
FARTHEST = 2.0  # times as long, or as short
LOOKED_AT = 10_000  # characters
MOSTLY = 0.9  # letters of English and spaces; more signs are in code


def describe_usual(corpus: Corpus) -> list[str]:
    """Return a line with the usual figure for a text, none if it is not of a kind and a size that was measured."""
    size, bits = min(USUAL_BITS, key=lambda one: abs(one[0] - corpus.num_characters) / one[0])
    if not size / FARTHEST <= corpus.num_characters <= size * FARTHEST or not _looks_english(corpus):
        return []
    return [f"English texts of about {size:,} characters usually reach {bits:.1f} bits/char with the automatic settings"]


def _looks_english(corpus: Corpus) -> bool:
    """Tell whether a text is prose or verse whose letters are those of English."""
    if corpus.is_list or corpus.labels:
        return False
    beginning = str(max((document.text for document in corpus.documents), key=len)[:LOOKED_AT])
    plain = sum(character.isascii() and (character.isalpha() or character.isspace()) for character in beginning)
    return plain >= MOSTLY * len(beginning)

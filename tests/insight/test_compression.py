import lzma
import math
import random

from chargen.corpus.documents import Document
from chargen.insight.compression import compressed_nats, joined

LETTERS = "abcdefghijklmnop"


def compressed_bits(training: str, held_out: str) -> dict[str, float]:
    return {name: nats / math.log(2) for name, nats in compressed_nats(training, held_out).items()}


def noise(count: int, seed: int) -> str:
    return "".join(random.Random(seed).choices(LETTERS, k=count))


def test_letters_drawn_at_random_cost_their_logarithm_and_something_for_the_format() -> None:
    for bits in compressed_bits(noise(50_000, 1), noise(50_000, 2)).values():
        assert 4 <= bits / 50_000 < 4.8  # 16 letters


def test_what_the_training_text_holds_costs_little_within_reach() -> None:
    """gzip looks back 32 KB, xz to the beginning."""
    near, far = noise(10_000, 1), noise(10_000, 1) + noise(100_000, 2)
    held_out = noise(10_000, 1)
    assert compressed_bits(near, held_out)["gzip"] < 0.1 * 4 * len(held_out)
    found = compressed_bits(far, held_out)
    assert found["gzip"] > 0.9 * 4 * len(held_out)
    assert found["xz"] < 0.1 * 4 * len(held_out)


def test_texts_of_any_characters() -> None:
    assert min(compressed_bits("\udc80é" * 99, "\udcff" * 99).values()) > 0


def test_xz_is_at_least_as_good_as_its_largest_preset() -> None:
    text = noise(20_000, 1)[::2] * 4
    own = compressed_bits(text, text[:999])["xz"]
    preset = lzma.PRESET_DEFAULT
    usual = len(lzma.compress((text + text[:999]).encode(), preset=preset)) - len(lzma.compress(text.encode(), preset=preset))
    assert own <= 8 * usual + 64


def test_documents_are_joined_by_line_ends() -> None:
    assert joined([Document("ab"), Document("c")]) == "ab\nc\n"
    assert joined([Document("ab", ends=False), Document("c")]) == "abc\n"
    assert joined([Document("ab")]) == "ab"

import pytest

from chargen.corpus.documents import Document
from chargen.insight.labels import baseline_accuracies

TRAINING = [
    Document(text, label) for label, texts in {"x": ["aab", "aaab", "ab"], "y": ["ccd", "cd"]}.items() for text in texts
]


def test_accuracies_by_hand() -> None:
    held_out = [Document("aaaab", "x"), Document("ccccd", "y"), Document("cdcd", "y"), Document("aaa", "y")]
    assert baseline_accuracies(TRAINING, held_out) == {"majority": 0.25, "ngram": 0.75}


def test_the_more_frequent_label_wins_where_nothing_is_known() -> None:
    """A character that neither label has seen is as likely under both."""
    assert baseline_accuracies(TRAINING, [Document("e", "x")])["ngram"] == 1.0
    swapped = [document._replace(label={"x": "y", "y": "x"}[str(document.label)]) for document in TRAINING]
    assert baseline_accuracies(swapped, [Document("e", "y")])["ngram"] == 1.0


def test_of_large_texts_a_part_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    held_out = [Document("aaaab", "x"), Document("ccccd", "y")]
    monkeypatch.setattr("chargen.insight.labels.MAX_CHARACTERS", 2)  # a text of each label is counted all the same
    assert baseline_accuracies(TRAINING, held_out)["ngram"] == 1.0
    monkeypatch.setattr("chargen.insight.labels.MAX_CHARACTERS", 8)
    later = [*TRAINING, *[Document("ef", "x")] * 3]
    assert baseline_accuracies(later, [Document("ef", "y")])["ngram"] == 0.0

import pytest

from chargen.corpus.documents import Document
from chargen.insight.labels import baseline_accuracies

TRAINING = [
    Document(text, label) for label, texts in {"x": ["aab", "aaab", "ab"], "y": ["ccd", "cd"]}.items() for text in texts
]


def test_accuracies_by_hand() -> None:
    held_out = [Document("aaaab", "x"), Document("ccccd", "y"), Document("cdcd", "y"), Document("aaa", "y")]
    assert baseline_accuracies(TRAINING, held_out) == {"majority": 0.25, "ngram": 0.75}


def test_labels_are_as_probable_beforehand_as_in_training() -> None:
    """p(ab | x) is about a half and p(ab | y) almost 1, but nine of ten training texts have the label x."""
    common = [Document(text, "x") for text in ["ab", "ac"] * 9]
    rare = [Document("ab", "y")] * 2
    assert baseline_accuracies([*common, *rare], [Document("ab", "x")])["ngram"] == 1.0
    assert baseline_accuracies([*common, *rare * 9], [Document("ab", "y")])["ngram"] == 1.0


def test_of_large_texts_a_part_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    held_out = [Document("aaaab", "x"), Document("ccccd", "y")]
    monkeypatch.setattr("chargen.insight.labels.MAX_CHARACTERS", 2)  # at least one text of each label is counted
    assert baseline_accuracies(TRAINING, held_out)["ngram"] == 1.0
    monkeypatch.setattr("chargen.insight.labels.MAX_CHARACTERS", 8)
    later = [*TRAINING, *[Document("ef", "x")] * 3]
    assert baseline_accuracies(later, [Document("ef", "y")])["ngram"] == 0.0

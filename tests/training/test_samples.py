import numpy as np

from chargen.corpus.vocabulary import CharacterVocabulary
from chargen.corpus.words import WordVocabulary
from chargen.training.recording.samples import corpus_prompt


def test_prompts_come_from_the_corpus() -> None:
    rng = np.random.default_rng(0)
    vocabulary = CharacterVocabulary("HIabcdefghlor")

    def prompts(text: str, *, by_line: bool) -> set[str]:
        found = [corpus_prompt(text, vocabulary, by_line=by_line, length=5, rng=rng) for _ in range(40)]
        assert all(vocabulary.decode(one.ids) == one.text for one in found)
        return {one.text for one in found}

    assert prompts("Harold", by_line=True) == {"Ha"}
    assert prompts("abcdefgh", by_line=False) == {"abcde", "bcdef", "cdefg"}


def test_a_prompt_shows_the_words_that_the_network_does_not_know() -> None:
    vocabulary = WordVocabulary([" a", " dog"], num_characters=9)
    prompt = corpus_prompt("Saw a big dog", vocabulary, by_line=False, length=4, rng=np.random.default_rng(0))
    assert (prompt.text, prompt.ids.tolist()) == ("Saw a big dog", [1, 2, 1, 3])

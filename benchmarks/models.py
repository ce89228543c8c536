import numpy as np

from chargen.corpus.vocabulary import CharacterVocabulary
from chargen.network.model_file import TextModel
from chargen.network.network import Network, weight_shapes
from chargen.settings.schema import NetworkConfig

CHARACTERS = "".join(map(chr, range(32, 96))) + "\n"  # 65, as in tinyshakespeare


def random_model(*, num_layers: int, hidden_size: int, cell: str = "lstm") -> TextModel:
    """Return an untrained model: its text is noise, but takes as long as real text."""
    rng = np.random.default_rng(0)
    config = NetworkConfig(cell=cell, num_layers=num_layers, hidden_size=hidden_size)
    vocabulary = CharacterVocabulary(sorted(CHARACTERS))
    shapes = weight_shapes(config, len(vocabulary))
    weights = {name: rng.normal(0, 0.1, shape).astype(np.float32) for name, shape in shapes.items()}
    return TextModel(
        network=Network(config, len(vocabulary), weights),
        vocabulary=vocabulary,
        reading="document",
        context_length=64,
        primer=tuple(range(1, 65)),
        ends=False,
    )

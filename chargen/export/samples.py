"""Write the sample texts that a page shows before anything is typed."""

import numpy as np

from chargen.errors import ChargenError
from chargen.network.model_file import TextModel
from chargen.settings.writing import WritingOptions
from chargen.writing.request import make_request

LINES, TEXTS = 24, 3  # of a model of lines; of another model
LENGTH, WINDOWED_LENGTH = 300, 100  # characters; of a model that reads a window for each, which is slow
OPTIONS = {"temperature": (0.8,), "random_seed": 1}


def sample_texts(model: TextModel) -> list[str]:
    """Return texts with a fixed random seed, for the first label if there are labels; none if the network cannot write."""
    labels = model.vocabulary.labels
    count = LINES if model.reading == "line" else TEXTS
    options = WritingOptions(**OPTIONS, count=count, length=LENGTH if model.carried else WINDOWED_LENGTH)  # type: ignore[arg-type]
    try:
        with np.errstate(all="ignore"):  # weights of a damaged network
            texts = make_request(model.with_label(labels[0]) if labels else model, "", options).write().texts
    except ChargenError:
        return []
    return [text for text in texts if text.strip()]

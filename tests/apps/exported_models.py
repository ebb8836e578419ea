"""Small exported models of all apps, which have learned nothing."""

from pathlib import Path

import numpy as np

import kerasrnn
from tests.seeds import set_seed


def export_small_models(folder: Path, text: str) -> None:
    """Exports a model of each app; two of them know the characters of a text."""
    set_seed(0)
    classifier = kerasrnn.TextClassifier(
        ["[PAD]", "[UNK]", "good", "bad"], max_length=8, embedding_dim=4, units=3
    )
    classifier(np.array([[2, 0]]))
    classifier = classifier.with_linear(np.linspace(-1, 1, 54)[:, None], np.zeros(1))
    kerasrnn.export(classifier, folder / "sentiment")
    vocabulary = kerasrnn.CharacterVocabulary.from_text(text)
    language_model = kerasrnn.CharLanguageModel(vocabulary, units=4)
    language_model(np.array([[1, 2]]))
    options = {"cell": "vanilla", "units": 4, "num_layers": 1, "embedding_dim": None}
    options |= {"residual": True, "tie_weights": False}
    kerasrnn.export(language_model, folder / "chargen", config=options)
    letters = kerasrnn.TokenVocabulary.from_texts([text], "character")
    transducer = kerasrnn.Seq2Seq(letters, letters, units=4, embedding_dim=3)
    transducer({"inputs": np.array([[2, 4]]), "source": np.array([[4, 5]])})
    described = {"source_split": "character", "target_split": "character"}
    kerasrnn.export(transducer, folder / "transduce", config=described)

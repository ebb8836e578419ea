"""The answers of a model to batches of texts."""

import numpy as np
import tensorflow as tf

import kerasrnn
from apps.sentiment.predictions import predict_batches


def test_one_graph_answers_batches_of_all_shapes(rng, monkeypatch):
    model = kerasrnn.TextClassifier(["[PAD]", "[UNK]", "a", "b"], embedding_dim=2, units=2)
    shapes = [(3, 5), (3, 2), (4, 7), (1, 1)]
    parts = [rng.integers(1, 4, shape).astype("int32") for shape in shapes]
    expected = np.concatenate([model.predict(ids, verbose=0) for ids in parts])
    numbers = np.arange(11)
    labels = np.split(numbers, np.cumsum([len(ids) for ids in parts])[:-1])
    call, traced = model.call, []
    monkeypatch.setattr(model, "call", lambda *a, **k: traced.append(1) or call(*a, **k))
    batches = [(tf.constant(x), tf.constant(y)) for x, y in zip(parts, labels, strict=True)]
    probabilities, found = predict_batches(model, batches)
    assert len(traced) == 1
    np.testing.assert_allclose(probabilities, expected, atol=1e-6)
    np.testing.assert_array_equal(found, numbers)

"""A linear model of words and bigrams. It is the baseline, or is added to a classifier.

Reference: Wang and Manning, 2012, "Baselines and Bigrams: Simple, Good Sentiment and Topic
Classification", https://aclanthology.org/P12-2018.
"""

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from apps.errors import UserError
from apps.quiet import quiet_tensorflow
from apps.sentiment.predictions import predict_batches
from apps.sentiment.scores import SMALLEST

try:
    import scipy.optimize
    import scipy.sparse
    import scipy.special
    from sklearn.base import BaseEstimator, TransformerMixin
    from sklearn.linear_model import LogisticRegression
    from sklearn.multiclass import OneVsRestClassifier
    from sklearn.pipeline import make_pipeline
except ImportError as error:
    raise UserError(
        "scikit-learn is not installed. Install it with python -m pip install "
        "'kerasrnn[data]'. To train without it, use train --word-pairs None."
    ) from error

with quiet_tensorflow():
    from kerasrnn.models.word_pairs import NONE, WordPairs

STRENGTHS = (0.1, 0.3, 1.0)
"""Values of C, the inverse of the regularization, from which validation chooses."""
MOST_PASSES = 1000  # over the training texts; about a hundred are usually enough
HALVES = np.array([0.5, 0.5])


class LogCountRatio(TransformerMixin, BaseEstimator):
    """Scales words and pairs by how much more often texts of one class have them.

    The factor is the log of a ratio, log(p / |p| / (q / |q|)). p is 1 + the number of texts
    of the class with the word, q is 1 + the number of other texts with it, |p| and |q| are the
    sums over all words.
    """

    def fit(self, counts, is_of_class):
        p = 1 + counts.T @ is_of_class
        q = 1 + counts.T @ (1 - is_of_class)
        self.ratio_ = np.log(p / p.sum()) - np.log(q / q.sum())
        return self

    def transform(self, counts):
        return counts.multiply(self.ratio_).tocsr()


def make_model(strength: float, seed: int) -> OneVsRestClassifier:
    """A logistic regression on log-count ratios; with more than two classes, one for each."""
    regression = LogisticRegression(
        C=strength, solver="liblinear", dual=True, max_iter=MOST_PASSES, random_state=seed
    )
    return OneVsRestClassifier(make_pipeline(LogCountRatio(), regression))


def choose_model(
    training, validation, seed: int, show_progress: bool = False
) -> tuple[OneVsRestClassifier, float, float]:
    """Trains one model for each of `STRENGTHS`; the validation accuracy chooses.

    Args:
        training, validation: each a tuple (features, labels); features is a sparse matrix of 0
            and 1, `(texts, features)`.
        seed: of the solver.
        show_progress: whether to print each accuracy.

    Returns:
        The best model, its C and its validation accuracy.
    """
    best: Any = None
    for strength in STRENGTHS:
        model = make_model(strength, seed).fit(*training)
        accuracy = float(model.score(*validation))
        if show_progress:
            print(f"C={strength}: validation accuracy {accuracy:.4f}", flush=True)
        if best is None or accuracy > best[2]:
            best = model, strength, accuracy
    return best


def weights_of(model: OneVsRestClassifier, num_labels: int) -> tuple[np.ndarray, np.ndarray]:
    """The weights of the features, `(features, outputs)`, and the biases, `(outputs,)`.

    Two labels have one output. If no training text has a label, its weights are 0 and its bias
    is the log of `SMALLEST`.
    """
    pipelines, present = model.estimators_, model.classes_
    table = np.zeros([len(pipelines[0][0].ratio_), 1 if num_labels == 2 else num_labels])
    bias = np.full(table.shape[1], np.log(SMALLEST))
    if num_labels == 2:
        outputs = [0]
    else:  # of two classes, there is a model of the second only
        outputs = present[-len(pipelines) :]
        bias[present] = 0
    for output, (scale, regression) in zip(outputs, pipelines, strict=True):
        table[:, output] = scale.ratio_ * regression.coef_[0]
        bias[output] = regression.intercept_[0]
    return table, bias


def find_shares(
    network: np.ndarray, linear: np.ndarray, labels: Sequence[int] | np.ndarray
) -> tuple[float, float]:
    """The two factors, from 0 to 1, that give the sum of two models the lowest loss.

    With few texts these are unreliable. So there is a penalty, the squared distance of the
    factors from 0.5, with the weight of one text.

    Args:
        network, linear: their logits, `(texts, outputs)`.
        labels: of the texts.
    """
    numbers = np.asarray(labels)

    def loss(shares):
        outputs = shares[0] * network + shares[1] * linear
        if outputs.shape[1] == 1:  # those of label 1; of label 0 they are 0
            outputs = np.concatenate([np.zeros_like(outputs), outputs], axis=1)
        of_label = outputs[np.arange(len(numbers)), numbers]
        of_texts = scipy.special.logsumexp(outputs, axis=1) - of_label
        return np.mean(of_texts) + np.sum((shares - HALVES) ** 2) / len(numbers)

    found = scipy.optimize.minimize(loss, HALVES, bounds=[(0, 1)] * 2)
    return float(found.x[0]), float(found.x[1])


def with_linear(model, word_pairs: int, training, validation, seed: int):
    """Adds a linear model to a network; validation chooses its C and the share of each.

    Args:
        model: a trained `kerasrnn.TextClassifier`.
        word_pairs: the number of buckets of pairs.
        training, validation: datasets of batches of ids and labels, each text once.
        seed: of the solver.

    Returns:
        The model of both, and the seconds it took.
    """
    start = time.perf_counter()
    print("linear model: counting words and pairs", flush=True)
    layer = WordPairs(len(model.vocabulary), word_pairs, 1)
    parts = [read_features(layer, batches) for batches in (training, validation)]
    chosen, strength, accuracy = choose_model(parts[0], parts[1], seed)
    table, bias = weights_of(chosen, len(model.labels))
    network = outputs_of(predict_batches(model, validation)[0])
    linear = parts[1][0] @ table + bias
    of_network, of_linear = find_shares(network, linear, parts[1][1])
    print(
        f"linear model: C={strength}, validation accuracy {accuracy:.4f} alone. Combined "
        f"logits = {of_network:.2f} * network + {of_linear:.2f} * linear model",
        flush=True,
    )
    both = model.with_linear(of_linear * table, of_linear * bias, of_network)
    return both, time.perf_counter() - start


def outputs_of(probabilities: np.ndarray) -> np.ndarray:
    """The logits of a classifier, from its probabilities, `(texts, outputs)`."""
    p = np.clip(probabilities, SMALLEST, 1)
    return scipy.special.logit(np.minimum(p, 1 - SMALLEST)) if p.shape[1] == 1 else np.log(p)


def read_features(layer: WordPairs, batches) -> tuple[scipy.sparse.csr_matrix, np.ndarray]:
    """Which words and pairs each text has, 0 or 1 in `(texts, features)`, and the labels."""
    shape = layer.num_words + layer.num_buckets
    features, labels = [], []
    for ids, of_texts in batches:
        found = layer.features(ids).numpy()
        places = np.nonzero(found != NONE)
        ones = np.ones(len(places[0]), np.float32)
        features.append(
            scipy.sparse.csr_matrix((ones, (places[0], found[places])), (len(found), shape))
        )
        labels.append(of_texts.numpy().astype(int))
    return scipy.sparse.vstack(features, "csr"), np.concatenate(labels)

"""Calibration of a model, and its accuracy by text length."""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypedDict

import numpy as np

NUM_BINS = 15
"""Bins of the confidence, as in Guo et al. 2017 (arXiv:1706.04599)."""
LENGTHS = (20, 50, 100, 200, 400)
"""The most words of each group of texts but the last."""
DOTS_PER_INCH = 120


class Group(TypedDict):
    """Texts that are scored together."""

    name: str
    num_texts: int
    accuracy: float
    confidence: float
    """Mean probability of the predicted label."""


SMALLEST = 1e-7
"""The smallest probability in a loss, as in Keras."""


def score_probabilities(
    probabilities: np.ndarray, labels: Sequence[int] | np.ndarray
) -> dict[str, Any]:
    """Accuracy, loss and calibration error.

    Args:
        probabilities: of each label, `(texts, labels)`; of two labels also `(texts, 1)`, that
            of label 1.
        labels: the true ones.

    Returns:
        `accuracy`; `loss`, the mean of -ln p, in nats; `expected_calibration_error`;
        `calibration`, the groups by confidence.
    """
    probabilities, numbers = of_each_label(probabilities), np.asarray(labels)
    of_label = probabilities[np.arange(len(numbers)), numbers]
    correct = predict_labels(probabilities) == numbers
    groups = group_by_confidence(probabilities.max(axis=1), correct)
    return {
        "accuracy": float(correct.mean()),
        "loss": float(-np.log(np.clip(of_label, SMALLEST, 1 - SMALLEST)).mean()),
        "expected_calibration_error": calibration_error(groups),
        "calibration": groups,
    }


def of_each_label(probabilities: np.ndarray) -> np.ndarray:
    """The probabilities of all labels, `(texts, labels)`, also from those of label 1 only."""
    if probabilities.shape[1] > 1:
        return probabilities
    return np.concatenate([1 - probabilities, probabilities], axis=1)


def predict_labels(probabilities: np.ndarray) -> np.ndarray:
    """The predicted label of each text, as exported models answer, from `(texts, labels)`."""
    if probabilities.shape[1] == 2:
        return (probabilities[:, 1] >= 0.5).astype(int)
    return probabilities.argmax(axis=1)


def group_by_confidence(confidences: Sequence[float], correct: Sequence[bool]) -> list[Group]:
    """Groups of equal width: the m-th of M has confidences in ((m-1)/M, m/M].

    Args:
        confidences: the probability of the predicted label, for each text.
        correct: whether the prediction is right.
    """
    edges = np.arange(1, NUM_BINS) / NUM_BINS
    names = [f"{m / NUM_BINS:.2f} to {(m + 1) / NUM_BINS:.2f}" for m in range(NUM_BINS)]
    return _group(names, np.searchsorted(edges, confidences), confidences, correct)


def group_by_length(
    texts: Sequence[str], confidences: Sequence[float], correct: Sequence[bool]
) -> list[Group]:
    """Groups by the number of words, which is what spaces separate."""
    names = [f"up to {LENGTHS[0]}"]
    names += [f"{a + 1} to {b}" for a, b in itertools.pairwise(LENGTHS)]
    names += [f"over {LENGTHS[-1]}"]
    numbers = np.searchsorted(LENGTHS, [len(text.split()) for text in texts])
    return _group(names, numbers, confidences, correct)


def calibration_error(groups: Sequence[Group]) -> float:
    """The expected calibration error: the mean of |accuracy - confidence| over all texts.

    Args:
        groups: those by confidence.

    Reference:
        Guo et al. 2017, "On Calibration of Modern Neural Networks", arXiv:1706.04599.
    """
    total = sum(group["num_texts"] for group in groups)
    gaps = (g["num_texts"] * abs(g["accuracy"] - g["confidence"]) for g in groups)
    return sum(gaps) / total


def _group(names, numbers, confidences, correct) -> list[Group]:
    """The groups that have texts; `numbers` says in which each text is."""
    numbers, confidences, correct = map(np.asarray, (numbers, confidences, correct))
    return [
        Group(
            name=names[number],
            num_texts=int((numbers == number).sum()),
            accuracy=float(correct[numbers == number].mean()),
            confidence=float(confidences[numbers == number].mean()),
        )
        for number in np.unique(numbers)
    ]


def plot_scores(scores: dict[str, Any], path: Path) -> None:
    """Draws a reliability diagram and the accuracy by length, side by side.

    Args:
        scores: what `evaluate.score` returns.
        path: the PNG file to write.

    Raises:
        ImportError: if matplotlib is not installed.
    """
    from matplotlib.figure import Figure

    figure = Figure((10, 3.6), layout="constrained")
    reliability, lengths = figure.subplots(1, 2)
    reliability.plot([0, 1], [0, 1], "--", color="grey", label="perfectly calibrated")
    reliability.plot(
        [group["confidence"] for group in scores["calibration"]],
        [group["accuracy"] for group in scores["calibration"]],
        "o-",
        label=f"model, expected error {scores['expected_calibration_error']:.3f}",
    )
    reliability.set(xlabel="confidence", ylabel="accuracy", xlim=(0, 1), ylim=(0, 1))
    groups = scores["accuracy_by_length"]
    bars = lengths.bar([g["name"] for g in groups], [g["accuracy"] for g in groups])
    counts = [f"{g['num_texts']:,}" for g in groups]
    lengths.bar_label(bars, counts, label_type="center", color="white")
    lengths.tick_params(axis="x", labelsize=8)
    lengths.set(xlabel="words (in the bars: texts)", ylabel="accuracy", ylim=(0, 1))
    reliability.legend()
    figure.savefig(path, dpi=DOTS_PER_INCH)

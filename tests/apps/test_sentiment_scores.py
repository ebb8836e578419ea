"""Calibration, and accuracy by length, against sums written out."""

import itertools
import math

import numpy as np
import pytest

from apps.sentiment.scores import calibration_error, group_by_confidence, group_by_length


def expected_calibration_error(confidences, correct, num_bins=15):
    """Equations 2 and 5 of Guo et al. 2017, with a mask for each bin."""
    edges, error = np.linspace(0, 1, num_bins + 1), 0.0
    for low, high in itertools.pairwise(edges):
        here = (confidences > low) & (confidences <= high)
        if here.any():
            error += here.mean() * abs(correct[here].mean() - confidences[here].mean())
    return error


@pytest.mark.parametrize("count", [1, 7, 1000])
@pytest.mark.parametrize("least", [0.1, 0.5])
def test_the_calibration_error_is_that_of_the_paper(rng, count, least):
    confidences = rng.uniform(least, 1, count)
    correct = rng.uniform(0, 1, count) < confidences**2
    groups = group_by_confidence(confidences, correct)
    expected = expected_calibration_error(confidences, correct)
    assert calibration_error(groups) == pytest.approx(expected, abs=1e-12)
    assert sum(group["num_texts"] for group in groups) == count


def test_a_bin_has_its_upper_edge():
    groups = group_by_confidence([3 / 15, 3 / 15 + 1e-9, 1.0, 0.0], [True] * 4)
    assert [group["name"] for group in groups] == [
        "0.00 to 0.07",
        "0.13 to 0.20",
        "0.20 to 0.27",
        "0.93 to 1.00",
    ]


@pytest.mark.parametrize(
    ("confidences", "correct", "error"),
    [
        ([1.0, 1.0], [True, True], 0.0),
        ([1.0, 1.0], [True, False], 0.5),
        ([0.75, 0.75, 0.75, 0.75], [True, True, True, False], 0.0),
        ([0.6, 0.9], [False, True], (0.6 + 0.1) / 2),
    ],
)
def test_closed_forms(confidences, correct, error):
    assert calibration_error(group_by_confidence(confidences, correct)) == pytest.approx(error)


def test_a_confidence_that_is_no_number_makes_the_error_none():
    assert math.isnan(calibration_error(group_by_confidence([0.5, math.nan], [True, False])))


def test_texts_are_grouped_by_their_words():
    lengths = [0, 20, 21, 50, 51, 200, 400, 401, 9999]
    correct = [True, False, True, True, False, True, True, True, False]
    texts = [" ".join(["word"] * length) for length in lengths]
    groups = group_by_length(texts, [0.9] * len(texts), correct)
    found = {group["name"]: (group["num_texts"], group["accuracy"]) for group in groups}
    assert found == {
        "up to 20": (2, 0.5),
        "21 to 50": (2, 1.0),
        "51 to 100": (1, 0.0),
        "101 to 200": (1, 1.0),
        "201 to 400": (1, 1.0),
        "over 400": (2, 0.5),
    }
    assert all(group["confidence"] == pytest.approx(0.9) for group in groups)

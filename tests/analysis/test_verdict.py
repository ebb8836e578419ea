"""The names of shares, and the words for them."""

import numpy as np
import pytest

import kerasrnn
from kerasrnn.analysis.verdict import STATUSES, describe, status_of
from tests.analysis.models import FEATURES, UNITS, linear_rnn


@pytest.mark.parametrize(
    ("scale", "lag", "status", "words"),
    [
        (0.5, 11, "vanishing", "0.049% of the last state's gradient is left 11 steps back"),
        (0.5, 6, "fading", "1.6% of the last state's gradient is left 6 steps back"),
        (0.9, 6, "steady", "53% of the last state's gradient is left 6 steps back"),
        (1, 11, "steady", "100% of the last state's gradient is left 11 steps back"),
        (2, 1, "steady", "the last state's gradient is 2.0 times as large 1 step back"),
        (2, 5, "growing", "the last state's gradient is 32 times as large 5 steps back"),
        (2, 11, "exploding", "the last state's gradient is 2,048 times as large 11 steps back"),
    ],
)
def test_the_verdict_says_what_a_known_decay_leaves(rng, scale, lag, status, words):
    x = rng.normal(size=(2, 12, FEATURES)).astype("float32")
    layer = kerasrnn.gradient_flow(linear_rnn(scale), x, np.ones((2, 1)), lag=lag).layers[0]
    np.testing.assert_allclose(layer.remaining, scale ** np.arange(12.0), rtol=1e-5)
    np.testing.assert_allclose(layer.bound, layer.remaining, rtol=1e-5)
    assert (layer.status, layer.lag) == (status, lag)
    assert layer.verdict.startswith(f"vanilla_rnn: {status}: {words}") or "_rnn_" in layer.name
    assert f": {status}: {words}" in layer.verdict
    assert layer.spectra[0][1:] == pytest.approx((scale,) * 3)


def test_where_a_gradient_is_lost_is_said():
    assert describe(0.5 ** np.arange(12.0), 11).endswith("(below 1% from 7 steps back)")
    assert describe(2.0 ** np.arange(12.0), 11).endswith("(above 100 times from 7 steps back)")
    assert "less than 0.01%" in describe(np.array([1, 0.0]), 1)
    assert "over a million times" in describe(np.array([1, np.inf]), 1)


def test_each_lag_has_its_own_status(rng):
    x = rng.normal(size=(2, 12, FEATURES)).astype("float32")
    report = kerasrnn.gradient_flow(linear_rnn(0.5), x, np.ones((2, 1)), lag=(9, 3))
    layer = report.layers[0]
    assert layer.statuses == {3: "fading", 9: "vanishing"}
    assert (layer.status, layer.lag) == ("vanishing", 9)
    assert "12% of the last state's gradient is left 3 steps back; vanishing" in report.verdict


@pytest.mark.parametrize(
    ("remaining", "status"),
    [
        ([1, np.inf], "exploding"),
        ([1, 1e3, np.nan], "exploding"),  # beyond all numbers, and times 0 after that
        ([1, np.inf, np.nan], "exploding"),
        ([1, 0.5, np.nan], "not finite"),
        ([np.nan, np.nan], "not finite"),
        ([0, 0], "none"),
        ([1, 0], "vanishing"),
        ([1], "steady"),
    ],
    ids=str,
)
def test_shares_that_are_no_numbers_have_a_status(remaining, status):
    remaining = np.array(remaining, float)
    lag = len(remaining) - 1
    assert status_of(remaining, lag) == status
    assert status in STATUSES
    assert describe(remaining, lag).startswith(f"{status}: ")


def test_no_status_promises_that_a_layer_learns():
    assert set(STATUSES).isdisjoint({"healthy", "good", "ok", "fine"})


def test_no_gradient_is_said(batch):
    x, y = batch
    model = linear_rnn(1.0)
    model.layers[-1].kernel.assign(np.zeros((UNITS, 1)))
    report = kerasrnn.gradient_flow(model, x, y)
    assert report.layers[0].status == "none"
    assert "no gradient reaches the last state" in report.verdict


def test_what_is_not_finite_is_said(batch):
    x, y = batch
    report = kerasrnn.gradient_flow(linear_rnn(np.nan), x, y)
    assert report.layers[0].status == "not finite"
    assert "NaN or infinite at the last state" in report.verdict
    assert np.isnan(report.layers[0].spectra[0].spectral_radius)
    exploded = kerasrnn.gradient_flow(linear_rnn(1e4), x, y, lag=1).layers[0]
    assert exploded.status == "exploding"

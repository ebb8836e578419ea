"""Windows of series: what they hold, which are left out, and what is refused."""

import numpy as np
import pytest

import kerasrnn

NAN = np.nan


def read(*arguments, **options):
    """Pasts, what is known, and targets, of all windows."""
    batches = list(kerasrnn.forecast_windows(*arguments, **options))
    for inputs, targets in batches:
        np.testing.assert_array_equal(inputs["future"], targets)
    names = [name for name in ("inputs", "known") if name in batches[0][0]]
    parts = [np.concatenate([inputs[name] for inputs, _ in batches]) for name in names]
    return [*parts, np.concatenate([targets for _, targets in batches])]


def test_every_window_of_every_series_is_cut():
    one, other = np.arange(6.0), 10 + np.arange(4.0)
    past, targets = read([one, other], 2, 1, batch_size=3)
    starts = [0, 1, 2, 3, 10, 11]
    np.testing.assert_array_equal(past[..., 0], [[s, s + 1] for s in starts])
    np.testing.assert_array_equal(targets[..., 0], [[s + 2] for s in starts])


def test_known_inputs_reach_to_the_end_of_the_horizon():
    series, known = np.arange(10.0).reshape(5, 2), -np.arange(5.0)
    past, cut, targets = read(series, 2, 2, known=known)
    np.testing.assert_array_equal(past[1], series[1:3])
    np.testing.assert_array_equal(cut[1, :, 0], known[1:5])
    np.testing.assert_array_equal(targets[1], series[3:5])


def test_windows_without_anything_to_scale_by_or_to_learn_are_left_out():
    series = np.array([NAN, NAN, 2, 3, NAN, NAN, 6, 7])
    past, targets = read(series, 2, 2)
    np.testing.assert_array_equal(past[..., 0], [[NAN, 2], [3, NAN]])
    np.testing.assert_array_equal(targets[..., 0], [[3, NAN], [NAN, 6]])


def test_a_seed_shuffles_anew_in_each_epoch_and_the_number_of_batches_is_known():
    batches = kerasrnn.forecast_windows(np.arange(40.0), 3, 2, batch_size=8, seed=1)
    assert int(batches.cardinality()) == 5
    epochs = [np.concatenate([t[:, 0, 0] for _, t in batches]) for _ in range(2)]
    assert not np.array_equal(*epochs)
    for epoch in epochs:
        np.testing.assert_array_equal(np.sort(epoch), np.arange(3, 39))
    again = kerasrnn.forecast_windows(np.arange(40.0), 3, 2, batch_size=8, seed=1)
    np.testing.assert_array_equal(np.concatenate([t[:, 0, 0] for _, t in again]), epochs[0])


@pytest.mark.parametrize(
    ("series", "options", "message"),
    [
        (np.ones(5), {"horizon": 0}, "horizon must be a positive integer, got horizon=0"),
        (np.ones(5), {"past": 2.0}, "past must be a positive integer, got past=2.0"),
        (np.ones(5), {"batch_size": 0}, "batch_size must be a positive integer"),
        (np.ones(5), {"seed": "a"}, "seed must be an integer"),
        (np.ones(3), {}, "series must have past . horizon = 4 steps or more, got 3. Use a sh"),
        ([np.ones(5), np.ones(3)], {}, r"series\[1\] must have past . horizon = 4 steps"),
        (np.ones(5), {"horizon": 9}, "series must have past . horizon = 11 steps or more"),
        ([1, 2, np.inf, 4], {}, "series must be finite, got inf at step 2"),
        ([NAN] * 5, {}, "series must have an observed value, got none of variable 0"),
        ([NAN, NAN, 1, 2], {}, "series must have a window with an observed value in its past"),
        (np.ones(5), {"known": np.ones(4)}, "known must have 5 steps, as its series, got 4"),
        ([np.ones(5), np.ones((5, 2))], {}, r"series\[1\] must have 1 variables, got 2"),
        (np.array(["a"] * 5), {}, "series must be numbers of the shape .time,. or"),
        (np.ones((1, 2, 3, 4)), {}, r"got an array of shape .1, 2, 3, 4"),
    ],
)
def test_what_cannot_be_cut_is_refused(series, options, message):
    with pytest.raises(ValueError, match=message):
        kerasrnn.forecast_windows(series, **{"past": 2, "horizon": 2, **options})

"""How much of a gradient is left some steps back, in words.

The share at lag k is ||dL/dh_{t-k}|| / ||dL/dh_t||, for the gradient that reaches the last
state h_t, over all states of the cell. Its names describe the gradient alone. None of them
says that a layer learns: that also depends on the task and on the training.

The thresholds come from a measurement, `python -m benchmarks gradient_share`: recall a value
that was read k steps ago, with k = 20, 50 and 100; tanh, ReLU and LSTM layers, 162 trainings
of 2,000 steps of Adam with clipped gradients. This is how many layers learned, grouped by
their share at lag k before training:

    share                 status      learned     median steps
    below 0.0001          vanishing    1 of 51    1,800
    0.0001 to 0.01        vanishing   11 of 25      700
    0.01 to 0.5           fading      30 of 33      600
    0.5 to 2              steady      20 of 26      700
    2 to 100              growing     16 of 20      900
    above 100             exploding    6 of 7     1,300
"""

import numpy as np

VANISHING = 0.01
"""Below this share most layers of the measurement did not learn; above it most did."""
FADING, GROWING = 0.5, 2.0
"""Between them, half and twice its size, a gradient is called steady."""
EXPLODING = 100.0
"""Above this share learning took twice as many steps, although gradients were clipped.
Without clipping, one step of training may be 100 times as large as intended."""

STATUSES = ("none", "not finite", "vanishing", "fading", "steady", "growing", "exploding")


def status_of(remaining: np.ndarray, lag: int) -> str:
    """The name of the share that is left at a lag: one of `STATUSES`.

    Args:
        remaining: the share at lag 0, 1, ...; 1 at lag 0. 0 there means that no
            gradient reaches the last state, NaN that this gradient is not finite.
        lag: which of them.
    """
    share = remaining[lag]
    if np.isnan(remaining[0]):
        return "not finite"
    if remaining[0] == 0:
        return "none"
    if not np.isfinite(share):  # NaN, too, follows when a gradient has grown beyond all numbers
        grown = np.nanmax(remaining[: lag + 1]) > EXPLODING
        return "exploding" if grown else "not finite"
    if share < FADING:
        return "vanishing" if share < VANISHING else "fading"
    if share > GROWING:
        return "exploding" if share > EXPLODING else "growing"
    return "steady"


def describe(remaining: np.ndarray, lag: int) -> str:
    """The status at a lag, and in plain words how much of the gradient is left there.

    Args:
        remaining, lag: as `status_of` takes them.

    Example:

    >>> describe(0.924 ** np.arange(50.0), 49)
    "fading: 2.1% of the last state's gradient is left 49 steps back"
    """
    status = status_of(remaining, lag)
    if status == "none":
        return "none: no gradient reaches the last state"
    back = f"{lag} step{'' if lag == 1 else 's'} back"
    if status == "not finite":
        where = "at the last state" if np.isnan(remaining[0]) else back
        return f"not finite: the gradient is NaN or infinite {where}"
    text = f"{status}: {_left(remaining[lag])} {back}"
    if status == "vanishing":
        first = int(np.argmax(remaining < VANISHING))
        text += f" (below {VANISHING:.0%} from {first} steps back)"
    if status == "exploding":
        first = int(np.argmax(~(remaining <= EXPLODING)))
        text += f" (above {EXPLODING:.0f} times from {first} steps back)"
    return text


def _left(share: float) -> str:
    if share > 1.005:
        times = f"{share:.1f}" if share < 10 else f"{share:,.0f}"
        times = times if share < 1e6 else "over a million"
        return f"the last state's gradient is {times} times as large"
    percent = f"{share:.0%}" if share >= 0.1 else f"{100 * share:.2g}%"
    percent = percent if share >= 1e-4 else "less than 0.01%"
    return f"{percent} of the last state's gradient is left"

"""The scores of forecasts: MASE, sMAPE and the coverage of intervals.

Reference: R. J. Hyndman and A. B. Koehler, "Another look at measures of forecast accuracy",
2006, doi:10.1016/j.ijforecast.2006.03.001.
"""

import numpy as np


def naive_error(history: np.ndarray, season: int) -> float:
    """The mean absolute error of the value one season before: the unit of `mase`.

    Args:
        history: values before the first forecast, `(time,)`; NaN is a missing value.
        season: in steps; 1 where there is none.
    """
    return float(np.nanmean(np.abs(history[season:] - history[:-season])))


def mase(actual: np.ndarray, forecast: np.ndarray, unit: float) -> float:
    """The mean absolute scaled error: below 1 is better than the value one season before.

        mean |y - f| / naive_error

    Args:
        actual: y, of any shape; NaN does not count.
        forecast: f, of the same shape.
        unit: what `naive_error` gave.
    """
    return float(np.nanmean(np.abs(actual - forecast))) / unit


def smape(actual: np.ndarray, forecast: np.ndarray) -> float:
    """The symmetric mean absolute percentage error, from 0 to 200.

        mean 200 |y - f| / (|y| + |f|)

    Two zeros are no error.

    Args:
        actual: y, of any shape; NaN does not count.
        forecast: f, of the same shape.
    """
    total = np.abs(actual) + np.abs(forecast)
    return float(np.nanmean(200 * np.abs(actual - forecast) / np.where(total > 0, total, 1)))


def coverage(actual: np.ndarray, low: np.ndarray, high: np.ndarray) -> float:
    """The share of values inside their intervals, in percent; NaN does not count."""
    inside = ((low <= actual) & (actual <= high))[~np.isnan(actual)]
    return 100 * float(inside.mean())

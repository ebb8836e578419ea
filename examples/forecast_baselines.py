"""Forecasts of one variable by the methods of statistics, each with an 80 % interval."""

import warnings
from collections.abc import Callable, Sequence
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

COVERAGE = 0.8
NUM_SIMULATIONS = 500
ORDERS = ((0, 1, 1), (1, 1, 1), (1, 0, 0), (2, 0, 0))
"""Of the ARIMA models of which one is chosen."""


class Interval(NamedTuple):
    """A forecast and its interval, `(horizon,)` each."""

    values: np.ndarray
    low: np.ndarray
    high: np.ndarray


Baseline = Callable[[np.ndarray, int, int], Interval]
"""From a history `(time,)` without gaps, a horizon and a season to a forecast."""


def fill_gaps(values: np.ndarray) -> np.ndarray:
    """Values `(time,)` with straight lines in place of NaN: these methods need each value."""
    steps, observed = np.arange(len(values)), ~np.isnan(values)
    return np.interp(steps, steps[observed], values[observed])


def seasonal_naive(history: np.ndarray, horizon: int, season: int) -> Interval:
    """The value one season before; the interval grows with the number of seasons."""
    values = np.resize(history[-season:], horizon)
    error = np.sqrt(np.mean((history[season:] - history[:-season]) ** 2))  # drift is an error
    width = _z() * error * np.sqrt(1 + np.arange(horizon) // season)
    return Interval(values, values - width, values + width)


def exponential_smoothing(history: np.ndarray, horizon: int, season: int) -> Interval:
    """Holt-Winters with a damped trend and an additive season; simulated intervals."""
    from statsmodels.tsa.holtwinters import ExponentialSmoothing

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its optimizer, which stopped early
        fitted = ExponentialSmoothing(
            history,
            trend="add",
            damped_trend=True,
            seasonal="add" if season > 1 else None,
            seasonal_periods=season if season > 1 else None,
            initialization_method="heuristic",
        ).fit()
        paths = fitted.simulate(
            horizon, anchor="end", repetitions=NUM_SIMULATIONS, rng=np.random.default_rng(0)
        )
    paths = np.asarray(paths).reshape(horizon, NUM_SIMULATIONS)
    low, high = np.quantile(paths, [(1 - COVERAGE) / 2, (1 + COVERAGE) / 2], axis=1)
    return Interval(np.asarray(fitted.forecast(horizon)), low, high)


def theta(history: np.ndarray, horizon: int, season: int) -> Interval:
    """The Theta method (Assimakopoulos & Nikolopoulos 2000)."""
    from statsmodels.tsa.forecasting.theta import ThetaModel

    fitted = ThetaModel(
        history, period=max(season, 1), deseasonalize=season > 1, method="additive"
    ).fit()
    bounds = np.asarray(fitted.prediction_intervals(horizon, alpha=1 - COVERAGE))
    return Interval(np.asarray(fitted.forecast(horizon)), *bounds.T)


def arima(order: tuple[int, int, int]) -> Baseline:
    """An ARIMA model of this order, of what an STL decomposition leaves without the season."""

    def forecast(history, horizon, season):
        from statsmodels.tsa.arima.model import ARIMA
        from statsmodels.tsa.forecasting.stl import STLForecast

        # Where a root is close to 1, the start that stationarity needs cannot be computed.
        options = {"order": order, "trend": "n" if order[1] else "c"}
        options["enforce_stationarity"] = False
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of its optimizer and of its first parameters
            if season > 1:
                fitted = STLForecast(history, ARIMA, model_kwargs=options, period=season).fit()
                prediction = fitted.get_prediction(len(history), len(history) + horizon - 1)
            else:
                prediction = ARIMA(history, **options).fit().get_forecast(horizon)
            bounds = np.asarray(prediction.conf_int(alpha=1 - COVERAGE))
            return Interval(np.asarray(prediction.predicted_mean), *bounds.T)

    return forecast


def autoregression(lags: int) -> Baseline:
    """A linear regression on this many values before."""

    def forecast(history, horizon, season):
        from statsmodels.tsa.ar_model import AutoReg

        prediction = (
            AutoReg(history, lags)
            .fit()
            .get_prediction(len(history), len(history) + horizon - 1)
        )
        bounds = np.asarray(prediction.conf_int(alpha=1 - COVERAGE))
        return Interval(np.asarray(prediction.predicted_mean), *bounds.T)

    return forecast


def without_season(baseline: Baseline) -> Baseline:
    """The same method, told that there is no season."""
    return lambda history, horizon, season: baseline(history, horizon, 1)


def best(
    baselines: Sequence[Baseline],
    histories: Sequence[np.ndarray],
    futures: Sequence[np.ndarray],
    season: int,
) -> Baseline:
    """The one with the smallest errors on these futures `(horizon,)`."""

    def error(baseline):
        return np.mean(
            [
                np.nanmean(np.abs(baseline(history, len(future), season).values - future))
                for history, future in zip(histories, futures, strict=True)
            ]
        )

    return min(baselines, key=error)


def _z():
    return NormalDist().inv_cdf((1 + COVERAGE) / 2)

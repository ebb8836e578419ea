"""The networks of `examples.forecasting`: how they are trained, and what they forecast."""

from collections.abc import Sequence
from typing import NamedTuple

import keras
import numpy as np

import kerasrnn
from examples.forecast_data import Problem

UNITS, LEARNING_RATE, BATCH_SIZE, PATIENCE = 32, 0.005, 32, 5
QUANTILES = (0.1, 0.5, 0.9)


class Network(NamedTuple):
    """A kind of forecaster."""

    name: str
    method: str
    teacher_forcing: float = 1.0


NETWORKS = (
    Network("GRU, direct", "direct"),
    Network("GRU, recursive, true inputs", "recursive"),
    Network("GRU, recursive, own inputs", "recursive", teacher_forcing=0.0),
)


def fit(
    problem: Problem, network: Network, first: int, end: int, epochs: int, seed: int
) -> kerasrnn.Forecaster:
    """A network trained on the values before `first`, stopped by those from there to `end`."""
    keras.utils.set_random_seed(seed)
    values, known, past = problem.values, problem.known, problem.past
    model = kerasrnn.Forecaster(
        problem.horizon,
        values.shape[1],
        0 if known is None else known.shape[1],
        method=network.method,
        output="quantiles",
        quantiles=QUANTILES,
        units=UNITS,
    )
    model.compile(
        keras.optimizers.Adam(LEARNING_RATE),
        teacher_forcing=network.teacher_forcing,
        global_clipnorm=1.0,
    )

    def windows(start, stop, **how):
        return kerasrnn.forecast_windows(
            values[start:stop],
            past,
            problem.horizon,
            known=None if known is None else known[start:stop],
            **how,
        )

    model.fit(
        windows(0, first, batch_size=BATCH_SIZE, seed=seed),
        validation_data=windows(first - past, end, batch_size=256),
        epochs=epochs,
        verbose=0,
        callbacks=[keras.callbacks.EarlyStopping(patience=PATIENCE, restore_best_weights=True)],
    )
    return model


def forecast_from(
    model: kerasrnn.Forecaster, problem: Problem, origins: Sequence[int]
) -> kerasrnn.models.forecaster.Forecast:
    """What a model forecasts from the past before each origin."""
    known, past, horizon = problem.known, problem.past, problem.horizon
    return model.forecast(
        np.stack([problem.values[n - past : n] for n in origins]),
        None if known is None else np.stack([known[n - past : n + horizon] for n in origins]),
    )

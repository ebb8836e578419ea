"""Forecasts of real series by recurrent networks, beside the methods of statistics.

    python -m examples.forecasting
    python -m examples.forecasting --data my.csv --column value --horizon 12 --season 12

The first command takes three series that statsmodels has. The last part of each is the test,
with forecasts from several origins; what is chosen (epochs, lags, orders) is chosen on the part
before it. The methods of statistics are fitted again at each origin, to all values before it.
The networks are trained once, on the values before the validation part.

The second command forecasts a column of a CSV file, and writes a CSV file and a picture.
"""

import csv
import dataclasses
import sys
import time
from pathlib import Path
from typing import NamedTuple

from apps.quiet import quiet_tensorflow

with quiet_tensorflow():
    import keras
    import numpy as np

    import kerasrnn

from apps import cli
from apps.errors import UserError
from examples import experiment, forecast_baselines, forecast_scores
from examples.forecast_data import Problem, load_packaged, read_series

UNITS, LEARNING_RATE, BATCH_SIZE, PATIENCE = 32, 0.005, 32, 5
QUANTILES = (0.1, 0.5, 0.9)
NUM_ORIGINS = 10
NUM_ORIGINS_TO_CHOOSE = 3
"""Origins in the validation part that lags and orders are chosen on."""


@dataclasses.dataclass(frozen=True)
class Options:
    """Compares forecasts on three series; with --data, forecasts a series of your own."""

    data: Path | None = None
    """A CSV file with a column of numbers; an empty field is a missing value."""
    column: str = "value"
    """The name of the column."""
    horizon: int = 12
    """Steps to forecast."""
    season: int = 1
    """Steps of a season, for example 12 for months; 1: there is none."""
    output: Path = Path("forecast.csv")
    """With --data: the CSV file of the forecast and its 80 % interval."""
    plot: Path = Path("forecasts.png")
    """The picture."""
    epochs: int = 40
    """At most; training stops when the validation loss no longer falls."""
    quick: bool = False
    """The shortest of the three series alone, with few epochs."""
    seed: int = 0
    """Of initial weights and of the order of windows."""


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


class Result(NamedTuple):
    """The forecasts of a method from all origins, `(origins, horizon, variables)`."""

    problem: Problem
    method: str
    values: np.ndarray
    low: np.ndarray
    high: np.ndarray
    seconds: float


def find_origins(problem: Problem) -> tuple[list[int], list[int]]:
    """The first steps of the forecasts of the validation part, and of the test part."""
    step = max(1, problem.horizon // 2)
    last = len(problem.values) - problem.horizon
    test = [last - step * n for n in reversed(range(NUM_ORIGINS))]
    return [n - NUM_ORIGINS * step for n in test], test


def fit(problem, network, first, end, options):
    """A network trained on the values before `first`, stopped by those from there to `end`."""
    keras.utils.set_random_seed(options.seed)
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
        windows(0, first, batch_size=BATCH_SIZE, seed=options.seed),
        validation_data=windows(first - past, end, batch_size=256),
        epochs=options.epochs,
        verbose=0,
        callbacks=[keras.callbacks.EarlyStopping(patience=PATIENCE, restore_best_weights=True)],
    )
    return model


def forecast_by_network(problem, network, options):
    start = time.perf_counter()
    (first, *_), test = find_origins(problem)
    model = fit(problem, network, first, test[0], options)
    forecast = forecast_from(model, problem, test)
    return Result(
        problem,
        network.name,
        forecast.values,
        forecast.quantiles[..., 0],
        forecast.quantiles[..., -1],
        time.perf_counter() - start,
    )


def forecast_from(model, problem, origins):
    """What a model forecasts from the past before each origin."""
    known, past, horizon = problem.known, problem.past, problem.horizon
    return model.forecast(
        np.stack([problem.values[n - past : n] for n in origins]),
        None if known is None else np.stack([known[n - past : n + horizon] for n in origins]),
    )


def forecast_by_statistics(problem, name, candidates):
    """A forecast of each variable by itself, by the best of the candidates."""
    start = time.perf_counter()
    validation, test = find_origins(problem)
    horizon, season = problem.horizon, problem.season
    of_variables = []
    for values in problem.values.T:
        baseline = candidates[0]
        if len(candidates) > 1:
            chosen = validation[:: NUM_ORIGINS // NUM_ORIGINS_TO_CHOOSE]
            baseline = forecast_baselines.best(
                candidates,
                [forecast_baselines.fill_gaps(values[:n]) for n in chosen],
                [values[n : n + horizon] for n in chosen],
                season,
            )
        intervals = [
            baseline(forecast_baselines.fill_gaps(values[:n]), horizon, season) for n in test
        ]
        of_variables.append(np.stack([np.stack(interval) for interval in intervals]))
    values, low, high = np.moveaxis(np.stack(of_variables, -1), 1, 0)
    return Result(problem, name, values, low, high, time.perf_counter() - start)


def methods_of(problem):
    """The methods by name: a network, or the candidates of a method of statistics."""
    lags = sorted({2, 9, 2 * problem.season})
    return {
        "seasonal naive": [forecast_baselines.seasonal_naive],
        "exponential smoothing": [forecast_baselines.exponential_smoothing],
        "Theta": [forecast_baselines.theta],
        "ARIMA": list(map(forecast_baselines.arima, forecast_baselines.ORDERS)),
        "autoregression": list(map(forecast_baselines.autoregression, lags)),
        **{network.name: network for network in NETWORKS},
    }


def actual_of(problem):
    _, test = find_origins(problem)
    return np.stack([problem.values[n : n + problem.horizon] for n in test])


def scores_of(result):
    """MASE (the mean over the variables), sMAPE, and the coverage of the intervals."""
    problem, actual = result.problem, actual_of(result.problem)
    _, test = find_origins(problem)
    mases = [
        forecast_scores.mase(
            actual[..., n],
            result.values[..., n],
            forecast_scores.naive_error(problem.values[: test[0], n], problem.season),
        )
        for n in range(len(problem.variables))
    ]
    return (
        float(np.mean(mases)),
        forecast_scores.smape(actual, result.values),
        forecast_scores.coverage(actual, result.low, result.high),
    )


def compare(options):
    problems = load_packaged()
    if options.quick:
        problems = [min(problems, key=lambda problem: problem.values.size)]
        options = dataclasses.replace(options, epochs=3)
    runs = [(p, name, method) for p in problems for name, method in methods_of(p).items()]
    results = []
    for problem, name, method in experiment.each(runs, lambda r: f"{r[0].name}: {r[1]}"):
        if isinstance(method, Network):
            results.append(forecast_by_network(problem, method, options))
        else:
            results.append(forecast_by_statistics(problem, name, method))
    for problem in problems:
        print(f"{problem.name}: {len(problem.values)} steps, horizon {problem.horizon}")
        rows = []
        for result in results:
            if result.problem is problem:
                mase, smape, inside = scores_of(result)
                numbers = f"{mase:.3f}", f"{smape:.2f}", f"{inside:.0f} %"
                rows.append((result.method, *numbers, f"{result.seconds:.1f}"))
        columns = ("method", "MASE", "sMAPE", "in 80 % interval", "seconds")
        experiment.print_table(columns, rows)
    plot_comparison(problems, results, options.plot)


def plot_comparison(problems, results, path):
    """The last origin of the first variable of each series, with the first network."""
    figure = experiment.new_figure(4 * len(problems), 3.2)
    (row,) = figure.subplots(1, len(problems), squeeze=False)
    for axes, problem in zip(row, problems, strict=True):
        of_problem = [r for r in results if r.problem is problem]
        network = next(r for r in of_problem if r.method == NETWORKS[0].name)
        statistics = [r for r in of_problem if not r.method.startswith("GRU")]
        rival = min(statistics, key=lambda result: scores_of(result)[0])
        draw(axes, problem, network, "C0")
        steps = np.arange(len(problem.values) - problem.horizon, len(problem.values))
        axes.plot(steps, rival.values[-1, :, 0], "C1--", lw=1, label=rival.method)
        axes.legend(fontsize="x-small")
    save(figure, path)


def draw(axes, problem, result, color):
    """The last steps of a series, and a forecast of its first variable with its interval."""
    values, horizon = problem.values[:, 0], problem.horizon
    end = len(values) - horizon if len(values) > max(find_origins(problem)[1]) else len(values)
    shown = np.arange(max(0, end - 3 * horizon), len(values))
    axes.plot(shown, values[shown], "k", lw=1, label=problem.variables[0])
    steps = np.arange(end, end + horizon)
    axes.fill_between(
        steps, result.low[-1, :, 0], result.high[-1, :, 0], color=color, alpha=0.25
    )
    axes.plot(steps, result.values[-1, :, 0], color, lw=1.5, label=result.method)
    axes.set(title=problem.name, xlabel="step")
    axes.grid(alpha=0.3)


def save(figure, path):
    figure.savefig(path, dpi=90)
    print(f"figure: {path}")


def forecast_file(options):
    cli.check_option(options, "season", options.season >= 1, "must be 1 or more")
    cli.check_option(options, "horizon", options.horizon >= 1, "must be 1 or more")
    values = read_series(options.data, options.column)
    past = max(2 * options.season, options.horizon, 12)
    needed = past + 4 * options.horizon
    if len(values) < needed:
        raise UserError(
            f"{options.data}: a horizon of {options.horizon} steps with a season of "
            f"{options.season} needs {needed} rows, got {len(values)}."
        )
    period = options.season if options.season > 1 else None
    problem = Problem(
        options.data.name,
        values,
        (options.column,),
        options.horizon,
        options.season,
        past,
        period,
    )
    first = len(values) - 2 * options.horizon
    try:
        for network in experiment.each(NETWORKS[:1], lambda network: network.name):
            model = fit(problem, network, first, len(values), options)
        forecast = forecast_from(model, problem, [len(values)])
    except ValueError as error:  # about the series: it has been trained on nothing else
        raise UserError(f"{options.data}: {error}") from error
    low, middle, high = np.moveaxis(forecast.quantiles[0, :, 0], -1, 0)
    with options.output.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("step", "forecast", "low", "high"))
        rows = zip(middle.tolist(), low.tolist(), high.tolist(), strict=True)
        writer.writerows((step, *row) for step, row in enumerate(rows, 1))
    print(f"forecast: {options.output}")
    figure = experiment.new_figure(7, 3.2)
    result = Result(
        problem, NETWORKS[0].name, *(x[None, :, None] for x in (middle, low, high)), 0
    )
    axes = figure.subplots()
    draw(axes, problem, result, "C0")
    axes.legend(fontsize="x-small")
    save(figure, options.plot)


def run(options):
    cli.check_option(options, "seed", 0 <= options.seed < 2**31, "must be from 0 to 2^31")
    cli.check_option(options, "epochs", options.epochs >= 1, "must be positive")
    for flag, path in (("--output", options.output), ("--plot", options.plot)):
        if not path.parent.is_dir():
            raise UserError(f"{flag}: there is no folder {path.parent}.")
    experiment.new_figure(1, 1)
    if options.data is None:
        compare(options)
    else:
        forecast_file(options)


def main() -> int:
    summary = __doc__.splitlines()[0]
    return cli.main("examples.forecasting", summary, {"run": cli.Command(Options, run)})


if __name__ == "__main__":
    sys.exit(main())

"""Forecasts of real series by recurrent networks, beside the methods of statistics.

    python -m examples.forecasting
    python -m examples.forecasting --data my.csv --column value --horizon 12 --season 12

The first command takes three series that statsmodels has. The last part of each is the test,
with forecasts from several origins; what is chosen (epochs, lags, orders) is chosen on the part
before it, which ends where the first test forecast begins. The methods of statistics are fitted
again at each origin, to all values before it.
The networks are trained once, on the values before the validation part.

The second command forecasts a column of a CSV file. Both draw a picture with --plot.
"""

import dataclasses
import sys
import time
from pathlib import Path

from apps.quiet import quiet_tensorflow

with quiet_tensorflow():
    import numpy as np

    from examples.forecast_networks import NETWORKS, Network, fit, forecast_from

from apps import cli
from apps.errors import UserError
from apps.pictures import check_picture
from examples import experiment, forecast_baselines, forecast_scores
from examples.forecast_data import Problem, Result, load_packaged
from examples.forecast_file import forecast_file
from examples.forecast_picture import draw, save

NUM_ORIGINS = 10
NUM_ORIGINS_TO_CHOOSE = 3
"""Origins in the validation part that seasons, lags and orders are chosen on."""


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
    plot: Path | None = None
    """A picture of the forecasts, a PNG file. Default: no picture."""
    epochs: int = 40
    """At most; training stops when the validation loss no longer falls."""
    quick: bool = False
    """The shortest of the three series alone, with few epochs."""
    seed: int = 0
    """Of initial weights and of the order of windows."""


def find_origins(problem: Problem) -> tuple[list[int], list[int]]:
    """The first steps of the forecasts of the validation part, and of the test part.

    The validation part begins at its first origin, and ends before the first one of the test
    part, with the whole last forecast.
    """
    horizon = problem.horizon
    step = max(1, horizon // 2)
    last = len(problem.values) - horizon
    test = [last - step * n for n in reversed(range(NUM_ORIGINS))]
    first, last = test[0] - NUM_ORIGINS * step, test[0] - horizon
    return np.linspace(first, last, NUM_ORIGINS_TO_CHOOSE).astype(int).tolist(), test


def forecast_by_network(problem, network, options):
    start = time.perf_counter()
    (first, *_), test = find_origins(problem)
    model = fit(problem, network, first, test[0], options.epochs, options.seed)
    forecast = forecast_from(model, problem, test)
    return Result(
        problem,
        network.name,
        forecast.values,
        forecast.quantiles[..., 0],
        forecast.quantiles[..., -1],
        time.perf_counter() - start,
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
            baseline = forecast_baselines.best(
                candidates,
                [forecast_baselines.fill_gaps(values[:n]) for n in validation],
                [values[n : n + horizon] for n in validation],
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

    def with_and_without_season(*baselines):
        without = map(forecast_baselines.without_season, baselines)
        return [*baselines, *(without if problem.season > 1 else ())]

    return {
        "seasonal naive": [forecast_baselines.seasonal_naive],
        "exponential smoothing": with_and_without_season(
            forecast_baselines.exponential_smoothing
        ),
        "Theta": with_and_without_season(forecast_baselines.theta),
        "ARIMA": with_and_without_season(
            *map(forecast_baselines.arima, forecast_baselines.ORDERS)
        ),
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
    if options.plot is not None:
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
        origin = find_origins(problem)[1][-1]
        draw(axes, problem, network, origin, "C0")
        steps = np.arange(origin, origin + problem.horizon)
        axes.plot(steps, rival.values[-1, :, 0], "C1--", lw=1, label=rival.method)
        axes.legend(fontsize="x-small")
    save(figure, path)


def run(options):
    cli.check_option(options, "seed", 0 <= options.seed < 2**31, "must be from 0 to 2^31")
    cli.check_option(options, "epochs", options.epochs >= 1, "must be positive")
    if not options.output.parent.is_dir():
        raise UserError(f"--output: there is no folder {options.output.parent}.")
    if options.plot is not None:
        check_picture(options.plot, "--plot")
    if options.data is None:
        compare(options)
    else:
        forecast_file(options)


def main() -> int:
    summary = __doc__.splitlines()[0]
    return cli.main("examples.forecasting", summary, {"run": cli.Command(Options, run)})


if __name__ == "__main__":
    sys.exit(main())

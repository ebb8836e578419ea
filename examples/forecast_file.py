"""The command that forecasts a column of a CSV file."""

import csv
from typing import TYPE_CHECKING

import numpy as np

from apps import cli
from apps.errors import UserError
from examples import experiment
from examples.forecast_data import Problem, Result, read_series
from examples.forecast_networks import NETWORKS, fit, forecast_from
from examples.forecast_picture import draw, save

if TYPE_CHECKING:  # it imports this module
    from examples.forecasting import Options


def forecast_file(options: "Options") -> None:
    """Writes a CSV file with the forecast and its interval, and if asked for, a picture.

    Raises:
        UserError: for a file that cannot be forecast.
    """
    cli.check_option(options, "season", options.season >= 1, "must be 1 or more")
    cli.check_option(options, "horizon", options.horizon >= 1, "must be 1 or more")
    problem = _read(options)
    end = len(problem.values)
    first = end - 2 * options.horizon
    try:
        for network in experiment.each(NETWORKS[:1], lambda network: network.name):
            model = fit(problem, network, first, end, options.epochs, options.seed)
        forecast = forecast_from(model, problem, [end])
    except ValueError as error:  # about the series: it has been trained on nothing else
        raise UserError(f"{options.data}: {error}") from error
    low, middle, high = np.moveaxis(np.asarray(forecast.quantiles), -1, 0)
    result = Result(problem, NETWORKS[0].name, middle, low, high)
    _write(result, options.output)
    if options.plot is not None:
        figure = experiment.new_figure(7, 3.2)
        axes = figure.subplots()
        draw(axes, problem, result, end, "C0")
        axes.legend(fontsize="x-small")
        save(figure, options.plot)


def _read(options):
    values = read_series(options.data, options.column)
    horizon, season = options.horizon, options.season
    past = max(2 * season, horizon, 12)
    needed = past + 4 * horizon
    if len(values) < needed:
        raise UserError(
            f"{options.data}: a horizon of {horizon} steps with a season of {season} needs "
            f"{needed} rows, got {len(values)}."
        )
    period = season if season > 1 else None
    name = options.data.name
    return Problem(name, values, (options.column,), horizon, season, past, period)


def _write(result, path):
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("step", "forecast", "low", "high"))
        columns = (part[0, :, 0].tolist() for part in (result.values, result.low, result.high))
        rows = zip(*columns, strict=True)
        writer.writerows((step, *row) for step, row in enumerate(rows, 1))
    print(f"forecast: {path}")

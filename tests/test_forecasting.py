"""The example of forecasting: its scores by hand, its methods, its command line."""

import csv

import numpy as np
import pytest

from examples import forecast_baselines, forecast_file, forecast_scores, forecasting
from examples.forecast_baselines import Interval
from examples.forecast_data import Problem, load_packaged

NAN = np.nan


def test_mase_by_hand():
    history = np.array([1.0, 3, 2, NAN, 4])
    assert forecast_scores.naive_error(history, 1) == pytest.approx((2 + 1) / 2)
    assert forecast_scores.naive_error(history, 2) == pytest.approx((1 + 2) / 2)
    actual, forecast = np.array([5.0, NAN, 7]), np.array([4.0, 0, 10])
    assert forecast_scores.mase(actual, forecast, 1.5) == pytest.approx((1 + 3) / 2 / 1.5)


def test_smape_by_hand():
    actual, forecast = np.array([5.0, NAN, 0, 2]), np.array([3.0, 1, 0, -2])
    # 200 * 2 / 8 = 50; two zeros: 0; of different signs: 200 * 4 / 4 = 200
    assert forecast_scores.smape(actual, forecast) == pytest.approx((50 + 0 + 200) / 3)


def test_coverage_by_hand():
    actual = np.array([1.0, 2, NAN, 4])
    assert forecast_scores.coverage(actual, actual - 1, np.array([2, 1, 9, 4])) == (
        pytest.approx(200 / 3)
    )


def test_the_test_part_comes_after_what_is_chosen_on():
    problem = Problem("x", np.zeros((100, 1)), ("x",), 6, 1, 12)
    validation, test = forecasting.find_origins(problem)
    assert test[-1] + problem.horizon == 100
    assert np.diff(test).tolist() == [3] * 9
    assert validation[0] == test[0] - 30
    for horizon in (1, 2, 3, 11, 26):
        problem = Problem("x", np.zeros((900, 1)), ("x",), horizon, 1, 12)
        validation, test = forecasting.find_origins(problem)
        assert len(set(validation)) == forecasting.NUM_ORIGINS_TO_CHOOSE
        assert max(validation) + horizon <= min(test)


def test_what_is_chosen_is_chosen_without_the_test_part():
    """Of two methods, one is right only in the test part, and it is not chosen."""
    values = np.arange(100.0)
    problem = Problem("x", values[:, None], ("x",), 6, 1, 12)
    validation, test = forecasting.find_origins(problem)
    asked = []

    def make(right):
        def forecast(history, horizon, season):
            asked.append(len(history))
            steps = len(history) + np.arange(horizon)
            values = np.where(right(steps), steps, -1.0)
            return Interval(values, values, values)

        return forecast

    before, after = make(lambda t: t < test[0]), make(lambda t: t >= test[0])
    result = forecasting.forecast_by_statistics(problem, "x", [after, before])
    assert (result.values == -1).all()
    assert asked == [*validation, *validation, *test]


def test_the_seasonal_naive_interval_holds_the_drift():
    forecast = forecast_baselines.seasonal_naive(3.0 * np.arange(40), 6, 4)
    np.testing.assert_array_equal(forecast.values[:4], 3.0 * np.arange(36, 40))
    width = 1.2815516 * 12 * np.sqrt([1, 1, 1, 1, 2, 2])  # a season is 4 steps of 3
    np.testing.assert_allclose(forecast.high - forecast.values, width, rtol=1e-6)
    np.testing.assert_allclose(forecast.values - forecast.low, width, rtol=1e-6)


def test_an_arima_model_can_be_fitted_to_prices():
    """Where a root is so near to 1 that the start of a stationary series has no solution."""
    pytest.importorskip("statsmodels")
    prices = load_packaged()[-1].values[:193, 1]
    for order in forecast_baselines.ORDERS:
        forecast = forecast_baselines.arima(order)(prices, 4, 1)
        np.testing.assert_allclose(forecast.values, prices[-1], rtol=0.05)
        assert (forecast.low < forecast.high).all()


def test_methods_of_statistics_may_go_without_a_season():
    seasons = []
    forecast_baselines.without_season(lambda *given: seasons.append(given[2]))(None, 3, 12)
    assert seasons == [1]
    for season, ways in ((1, 1), (11, 2)):
        methods = forecasting.methods_of(Problem("x", np.zeros((99, 1)), ("x",), 4, season, 9))
        assert len(methods["Theta"]) == len(methods["exponential smoothing"]) == ways
        assert len(methods["ARIMA"]) == ways * len(forecast_baselines.ORDERS)


@pytest.mark.slow
def test_methods_of_statistics_forecast_a_season():
    pytest.importorskip("statsmodels")
    rng = np.random.default_rng(0)
    steps = np.arange(160)
    values = 50 + 0.1 * steps + 5 * np.sin(2 * np.pi * steps / 8) + rng.normal(size=160) / 10
    problem = Problem("x", values[:, None], ("x",), 8, 8, 16)
    methods = forecasting.methods_of(problem)
    for name in ("exponential smoothing", "Theta", "ARIMA", "autoregression"):
        result = forecasting.forecast_by_statistics(problem, name, methods[name])
        mase, smape, inside = forecasting.scores_of(result)
        assert mase < 0.6, name
        assert smape < 2, name
        assert inside > 50, name


def run(monkeypatch, capsys, *arguments):
    monkeypatch.setattr("sys.argv", ["forecasting", *map(str, arguments)])
    return forecasting.main(), capsys.readouterr()


@pytest.mark.slow
def test_a_column_of_a_file_is_forecast(tmp_path, monkeypatch, capsys):
    image = pytest.importorskip("matplotlib.image")
    values = 100 + 5 * np.sin(2 * np.pi * np.arange(100) / 6)
    rows = "".join(f"{n},{'' if n == 50 else value}\n" for n, value in enumerate(values))
    (tmp_path / "my.csv").write_text(f"day,value\n{rows}")
    output, plot = tmp_path / "forecast.csv", tmp_path / "forecast.png"
    flags = f"--data {tmp_path}/my.csv --horizon 6 --season 6 --output {output} --plot {plot}"
    drawn = []
    save = forecast_file.save
    monkeypatch.setattr(
        forecast_file, "save", lambda figure, path: (drawn.append(figure), save(figure, path))
    )
    status, printed = run(monkeypatch, capsys, *flags.split())
    assert status == 0, printed.err
    past, forecast = drawn[0].axes[0].lines
    assert past.get_xdata()[-1] == 99
    np.testing.assert_array_equal(forecast.get_xdata(), np.arange(100, 106))
    with output.open() as file:
        table = list(csv.DictReader(file))
    future = 100 + 5 * np.sin(2 * np.pi * np.arange(100, 106) / 6)
    np.testing.assert_allclose([float(row["forecast"]) for row in table], future, atol=2)
    assert all(float(row["low"]) <= float(row["high"]) for row in table)
    assert image.imread(plot).std() > 0.01


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--column", "no"], "there is no column 'no'; there are: value. Use --column."),
        ([], "line 3: value must be a number, got 'x'. Leave it empty where a value is miss"),
        (["--horizon", "0"], "--horizon must be 1 or more, got 0."),
        (["--plot", "no/folder/x.png"], "no/folder: there is no such folder. Make it first."),
        (["--plot", "x.abc"], "--plot must end with .png, got x.abc."),
        (["--output", "no/folder/x.csv"], "--output: there is no folder no/folder."),
    ],
)
def test_mistakes_are_one_line(tmp_path, monkeypatch, capsys, flags, message):
    pytest.importorskip("matplotlib")
    (tmp_path / "my.csv").write_text("value\n1\nx\n")
    status, printed = run(monkeypatch, capsys, "--data", tmp_path / "my.csv", *flags)
    assert status == 2
    assert message in printed.err
    assert printed.err.count("\n") == 1


def test_without_plot_there_is_no_picture(tmp_path, monkeypatch, capsys):
    rows = "\n".join(map(str, np.sin(np.arange(40)).tolist()))
    (tmp_path / "my.csv").write_text(f"value\n{rows}\n")
    monkeypatch.chdir(tmp_path)
    status, printed = run(monkeypatch, capsys, *"--data my.csv --horizon 2 --epochs 1".split())
    assert status == 0, printed.err
    assert {path.name for path in tmp_path.iterdir()} == {"my.csv", "forecast.csv"}


def test_a_short_file_is_refused(tmp_path, monkeypatch, capsys):
    pytest.importorskip("matplotlib")
    (tmp_path / "my.csv").write_text("value\n" + "1\n" * 20)
    status, printed = run(monkeypatch, capsys, "--data", tmp_path / "my.csv")
    assert status == 2
    assert "needs 60 rows, got 20." in printed.err

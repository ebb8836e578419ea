"""The experiments in `examples`, at a small size."""

import sys

import keras
import numpy as np
import pytest

from apps.errors import UserError
from examples import adding_problem, experiment, gradient_flow_picture, truncation_tradeoff
from tests.seeds import set_seed

pytestmark = pytest.mark.slow

image = pytest.importorskip("matplotlib.image", reason="experiments end in figures")


@pytest.fixture
def quick_seeds(monkeypatch):
    """Seeds set without TensorFlow's own, which throws away every compiled kernel."""
    monkeypatch.setattr(keras.utils, "set_random_seed", set_seed)


@pytest.mark.usefixtures("quick_seeds")
def test_the_adding_problem_is_learned_and_drawn(tmp_path, monkeypatch, capsys):
    (contender,) = (c for c in adding_problem.CONTENDERS if c.name == "ReLU, identity, skip")
    monkeypatch.setattr(adding_problem, "CONTENDERS", (contender,))
    monkeypatch.setattr(adding_problem, "LENGTHS", (20,))
    monkeypatch.setattr(adding_problem, "NUM_DRAWS", 1)
    monkeypatch.chdir(tmp_path)
    adding_problem.run(adding_problem.Options(steps=1500))
    printed = capsys.readouterr().out
    assert printed.count(" steps, ") == 2  # solved with clipping and without
    assert "10 steps back" in printed
    assert "(steady)" in printed
    assert image.imread(tmp_path / "adding_problem.png").std() > 0.01


def test_the_targets_of_the_adding_problem_are_sums_of_marked_values():
    inputs, targets = (x.numpy() for x in adding_problem.draw(10, 500, [1, 2]))
    values, markers = inputs[..., 0], inputs[..., 1]
    np.testing.assert_array_equal(markers[:, :5].sum(1), 1)
    np.testing.assert_array_equal(markers[:, 5:].sum(1), 1)
    np.testing.assert_allclose(targets[:, 0], (values * markers).sum(1), rtol=1e-6)
    np.testing.assert_allclose(np.var(targets), adding_problem.CHANCE, rtol=0.1)


def test_bias_and_variance_of_known_gradients(rng):
    full = 3 + rng.normal(size=(400, 5))
    bias, variance = truncation_tradeoff.compare_gradients(full, full)
    assert (bias, variance) == (0, 1)
    bias, variance = truncation_tradeoff.compare_gradients(full / 2, full)
    assert (bias, variance) == pytest.approx((0.5, 0.25), rel=0.01)
    noisy = full + 3 * rng.normal(size=full.shape)
    bias, variance = truncation_tradeoff.compare_gradients(noisy, full)
    assert bias < 0.05
    assert variance == pytest.approx(10, rel=0.1)


@pytest.mark.usefixtures("quick_seeds")
def test_truncations_are_compared_and_drawn(tmp_path, monkeypatch, capsys):
    text = "to be, or not to be: that is the question. " * 100
    (tmp_path / "text.txt").write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(truncation_tradeoff, "STEPS", 16)
    monkeypatch.setattr(truncation_tradeoff, "UNITS", 8)
    monkeypatch.setattr(truncation_tradeoff, "WINDOWS", (4, 4))
    truncation_tradeoff.run(truncation_tradeoff.Options(quick=True, data="text.txt", epochs=1))
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    full = next(row for row in rows if row[:1] == ["full"])
    assert float(full[2]) < 4
    assert full[-2:] == ["0.000", "1"]
    (truncated,) = (row for row in rows if row[:1] == ["truncated"])
    assert float(truncated[-2]) > 0
    assert float(truncated[-1]) != 1
    assert image.imread(tmp_path / "truncation_tradeoff.png").std() > 0.01


def test_a_seed_decides_the_initial_weights():
    for contender in adding_problem.CONTENDERS:
        first, again, other = (
            adding_problem.make_model(contender, 5, seed).get_weights() for seed in (1, 1, 2)
        )
        assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
        assert not np.array_equal(first[0], other[0]), contender.name


def test_a_figure_that_cannot_be_drawn_is_told_before_the_work(tmp_path, monkeypatch, capsys):
    def run(options):
        raise AssertionError("began to work")

    monkeypatch.setattr("sys.argv", ["x", "--output", str(tmp_path / "missing")])
    assert experiment.main("x", "", experiment.Options, run) == 2
    assert "there is no folder" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(UserError, match="pip install matplotlib"):
        experiment.new_figure(1, 1)


def test_the_picture_of_gradient_flow_is_drawn(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(gradient_flow_picture, "STEPS", 20)
    monkeypatch.setattr(gradient_flow_picture, "UNITS", 8)
    gradient_flow_picture.main(str(tmp_path / "picture.png"))
    assert capsys.readouterr().out.count(" is left after 19 steps") == 4
    assert image.imread(tmp_path / "picture.png").std() > 0.01

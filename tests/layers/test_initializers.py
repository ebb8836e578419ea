"""Initial recurrent kernels, beside NumPy's eigenvalues."""

import keras
import numpy as np
import pytest

import kerasrnn
from kerasrnn.layers.initializers import SpectralRadius, named


def test_the_spectral_radius_is_the_one_asked_for():
    for identifier, radius in [
        ("spectral_radius", 1),
        (kerasrnn.SpectralRadius(0.5, seed=3), 0.5),
    ]:
        layer = kerasrnn.VanillaRNN(32, recurrent_initializer=identifier)
        layer.build((None, None, 3))
        eigenvalues = np.linalg.eigvals(layer.cell.recurrent_kernel.numpy())
        np.testing.assert_allclose(np.abs(eigenvalues).max(), radius, rtol=1e-4)
        copy = kerasrnn.VanillaRNN.from_config(layer.get_config())
        assert copy.recurrent_initializer.get_config() == {
            "radius": radius,
            "seed": 3 if radius == 0.5 else None,
        }
    np.testing.assert_array_equal(
        kerasrnn.SpectralRadius(seed=1)((4, 4)), kerasrnn.SpectralRadius(seed=1)((4, 4))
    )


def test_each_gate_has_the_spectral_radius():
    layer = kerasrnn.LSTM(6, recurrent_initializer="spectral_radius")
    layer.build((None, None, 3))
    for matrix in np.split(layer.cell.recurrent_kernel.numpy(), 4, axis=1):
        assert np.abs(np.linalg.eigvals(matrix)).max() == pytest.approx(1, rel=1e-4)


@pytest.mark.parametrize("radius", [0.1, 1, 3.5])
@pytest.mark.parametrize("size", [1, 2, 40])
def test_numpy_finds_the_same_largest_eigenvalue(radius, size):
    kernel = SpectralRadius(radius, seed=size)((size, size), "float64").numpy()
    assert np.abs(np.linalg.eigvals(kernel)).max() == pytest.approx(radius, rel=1e-6)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_the_values_have_the_type_that_is_asked_for(dtype):
    assert SpectralRadius()((3, 3), dtype).dtype == dtype
    assert SpectralRadius()((3, 3)).dtype == keras.config.floatx()


def test_seeds_decide_the_values():
    first, second = (SpectralRadius(seed=seed)((4, 4)) for seed in (1, 2))
    assert not np.array_equal(first, second)
    copy = keras.initializers.deserialize(keras.initializers.serialize(SpectralRadius(2.0, 1)))
    np.testing.assert_allclose(copy((4, 4)), 2 * first, rtol=1e-6)


def test_only_the_name_becomes_the_initializer():
    assert isinstance(named("spectral_radius"), SpectralRadius)
    for other in ("orthogonal", None, SpectralRadius(2.0), np.ones(2)):
        assert named(other) is other


def test_other_shapes_and_radii_are_refused():
    for shape in [(3, 4), (3,), (3, 3, 3)]:
        with pytest.raises(ValueError, match="is that of a square matrix, got shape="):
            SpectralRadius()(shape)
    for radius in (0, -1, float("inf"), "a"):
        with pytest.raises(ValueError, match="radius must be positive, got radius="):
            SpectralRadius(radius)

"""Eigenvalues and singular values of recurrent kernels."""

import pytest

import kerasrnn
from kerasrnn.analysis.spectrum import spectra


def test_the_spectrum_of_a_known_kernel():
    cell = kerasrnn.VanillaRNNCell(2)
    cell.build((None, 1))
    cell.recurrent_kernel.assign([[0.0, 4.0], [1.0, 0.0]])
    (spectrum,) = spectra(cell)
    assert spectrum.name == "recurrent_kernel"
    assert spectrum[1:] == pytest.approx((2, 4, 1))  # eigenvalues +-2, singular values 4 and 1

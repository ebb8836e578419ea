"""Eigenvalues and singular values of recurrent kernels."""

from typing import NamedTuple

import keras
import numpy as np

_GATES = {
    keras.layers.LSTMCell: ("input", "forget", "cell", "output"),
    keras.layers.GRUCell: ("update", "reset", "candidate"),
}


class KernelSpectrum(NamedTuple):
    """What powers of a recurrent kernel, or of one gate's square part, do to a state."""

    name: str
    """`"recurrent_kernel"`, or the name of the gate."""
    spectral_radius: float
    """The largest absolute eigenvalue; NaN, as the others, if the kernel is not finite."""
    largest_singular_value: float
    """The norm ||W_h||."""
    smallest_singular_value: float


def spectra(cell) -> tuple[KernelSpectrum, ...]:
    """The spectrum of a cell's recurrent kernel, gate by gate; empty if it has none."""
    kernel = getattr(cell, "recurrent_kernel", None)
    if kernel is None or len(kernel.shape) != 2 or kernel.shape[1] % kernel.shape[0]:
        return ()
    parts = np.split(np.asarray(kernel, "float64"), kernel.shape[1] // kernel.shape[0], axis=1)
    names: tuple[str, ...] = ("recurrent_kernel",)
    if len(parts) > 1:
        names = tuple(str(number) for number in range(len(parts)))
    for kind, gates in _GATES.items():
        names = gates if isinstance(cell, kind) else names
    found = []
    for name, part in zip(names, parts, strict=True):
        if not np.isfinite(part).all():
            found.append(KernelSpectrum(name, np.nan, np.nan, np.nan))
            continue
        values = np.linalg.svd(part, compute_uv=False)
        radius = np.abs(np.linalg.eigvals(part)).max()
        found.append(KernelSpectrum(name, float(radius), float(values[0]), float(values[-1])))
    return tuple(found)

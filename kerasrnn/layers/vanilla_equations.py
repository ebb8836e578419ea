"""The plain RNN, h_t = phi(a_t) with a_t = p_t + h_{t-1} W_h.

Backward, with delta_h the gradient of h_t:

    delta_a = delta_h * phi'(a_t)        dp_t = delta_a        dh_{t-1} = delta_a W_h^T

Reference: J. Elman, "Finding structure in time", Cognitive Science 14(2), 1990,
doi:10.1207/s15516709cog1402_1.
"""

import functools

from kerasrnn.layers.activations import Activation
from kerasrnn.layers.equations import Equations


@functools.cache
def vanilla_equations(phi: Activation) -> Equations:
    """A step and its adjoint for one activation phi."""

    def step(p, states, product):
        (h,) = states
        return [phi.function(p[0] + product(h, 0))], []

    def adjoint(kept, before, after, gradients, product):
        (h,), (h_t,), (delta_h,) = before, after, gradients
        delta_a = delta_h * phi.derivative(h_t)
        return [delta_a], [product.back(delta_a, 0, h)]

    return Equations(step, adjoint)

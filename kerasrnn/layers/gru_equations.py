"""The gated recurrent unit, with the gates z and r and the candidate n.

With a^k = p^k + h_{t-1} W_k for z and r,

    z = sigma(a^z)    r = sigma(a^r)    h_t = z * h_{t-1} + (1 - z) * n

The candidate reads the state, reset after the product with W_n, or before it:

    after     n = phi(p^n + r * q)      q = h_{t-1} W_n + b_n
    before    n = phi(p^n + u W_n)      u = r * h_{t-1}

Backward, with delta_h the gradient of h_t:

    delta_z = delta_h * (h_{t-1} - n) * sigma'(a^z)
    delta_n = delta_h * (1 - z) * phi'(a^n)
    after     delta_q = delta_n * r     delta_r = delta_n * q * sigma'(a^r)
    before    delta_u = delta_n W_n^T   delta_r = delta_u * h_{t-1} * sigma'(a^r)
    dp^k = delta_k
    dh_{t-1} = delta_h * z + delta_z W_z^T + delta_r W_r^T
               + (after: delta_q W_n^T, before: delta_u * r)

References: K. Cho et al., "Learning phrase representations using RNN encoder-decoder for
statistical machine translation", 2014, arXiv:1406.1078. Reset after the product: version 1 of
that paper, and cuDNN.
"""

import functools

from kerasrnn.layers.activations import Activation
from kerasrnn.layers.equations import Equations

Z, R, N, BIAS = range(4)


@functools.cache
def gru_equations(
    phi: Activation, sigma: Activation, reset_after: bool, bias: bool
) -> Equations:
    """A step and its adjoint for one pair of activations, and one way to reset.

    `bias`: whether there is a b_n, as weight number 3; only with `reset_after`.
    """
    candidate = _reset_after(bias) if reset_after else _reset_before()

    def step(p, states, product):
        (h,) = states
        z = sigma.function(p[Z] + product(h, Z))
        r = sigma.function(p[R] + product(h, R))
        argument, inner = candidate.step(p[N], h, r, product)
        n = phi.function(argument)
        return [z * h + (1 - z) * n], [z, r, n, inner]

    def adjoint(kept, before, after, gradients, product):
        (z, r, n, inner), (h,), (delta_h,) = kept, before, gradients
        delta_z = delta_h * (h - n) * sigma.derivative(z)
        delta_n = delta_h * (1 - z) * phi.derivative(n)
        dh, dr = candidate.adjoint(delta_n, h, r, inner, product)
        delta_r = dr * sigma.derivative(r)
        dh = dh + delta_h * z + product.back(delta_z, Z, h) + product.back(delta_r, R, h)
        return [delta_z, delta_r, delta_n], [dh]

    return Equations(step, adjoint)


def _reset_after(bias: bool) -> Equations:
    """What the candidate reads, r * q; q is kept."""

    def step(p, h, r, product):
        q = product(h, N) + product(None, BIAS) if bias else product(h, N)
        return p + r * q, q

    def adjoint(delta_n, h, r, q, product):
        delta_q = delta_n * r
        if bias:
            product.back(delta_q, BIAS, None)
        return product.back(delta_q, N, h), delta_n * q

    return Equations(step, adjoint)


def _reset_before() -> Equations:
    """What the candidate reads, u W_n; u is kept."""

    def step(p, h, r, product):
        u = r * h
        return p + product(u, N), u

    def adjoint(delta_n, h, r, u, product):
        delta_u = product.back(delta_n, N, u)
        return delta_u * r, delta_u * h

    return Equations(step, adjoint)

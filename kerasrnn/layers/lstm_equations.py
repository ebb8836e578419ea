"""Long short-term memory, with the states h and c and the gates i, f, g, o.

With a^k = p^k + h_{t-1} W_k for each of the gates,

    i = sigma(a^i)    f = sigma(a^f)    g = phi(a^g)    o = sigma(a^o)
    c_t = f * c_{t-1} + i * g           h_t = o * phi(c_t)

Backward, with delta_h and delta_c the gradients of h_t and c_t:

    d = delta_c + delta_h * o * phi'(c_t)
    delta_i = d * g * sigma'(a^i)       delta_f = d * c_{t-1} * sigma'(a^f)
    delta_g = d * i * phi'(a^g)         delta_o = delta_h * phi(c_t) * sigma'(a^o)
    dp^k = delta_k    dc_{t-1} = d * f  dh_{t-1} = sum_k delta_k W_k^T

c reaches c_{t+1} through f alone: the path on which gradients neither vanish nor explode
while f is 1.

References: S. Hochreiter and J. Schmidhuber, "Long short-term memory", Neural Computation
9(8), 1997, doi:10.1162/neco.1997.9.8.1735. F. Gers, J. Schmidhuber and F. Cummins, "Learning
to forget", Neural Computation 12(10), 2000, doi:10.1162/089976600300015015.
"""

import functools

from kerasrnn.layers.activations import Activation
from kerasrnn.layers.equations import Equations

I, F, G, O = range(4)  # noqa: E741  (their usual names)


@functools.cache
def lstm_equations(phi: Activation, sigma: Activation) -> Equations:
    """A step and its adjoint for one pair of activations."""

    def step(p, states, product):
        h, c = states
        i = sigma.function(p[I] + product(h, I))
        f = sigma.function(p[F] + product(h, F))
        g = phi.function(p[G] + product(h, G))
        o = sigma.function(p[O] + product(h, O))
        c_t = f * c + i * g
        return [o * phi.function(c_t), c_t], [i, f, g, o]

    def adjoint(kept, before, after, gradients, product):
        (i, f, g, o), (h, c), (_, c_t), (delta_h, delta_c) = kept, before, after, gradients
        read_out = phi.function(c_t)
        d = delta_c + delta_h * o * phi.derivative(read_out)
        deltas = [
            d * g * sigma.derivative(i),
            d * c * sigma.derivative(f),
            d * i * phi.derivative(g),
            delta_h * read_out * sigma.derivative(o),
        ]
        return deltas, [sum(product.back(delta, k, h) for k, delta in enumerate(deltas)), d * f]

    return Equations(step, adjoint)

"""Cells in JAX: `jax.lax.scan`, compiled, with the product of the inputs outside of it."""

import os

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.peers.prepared import Prepared
from benchmarks.problems import Problem


def step_vanilla(states, projected, recurrent_kernel, _):
    (h,) = states
    return (jnp.tanh(projected + h @ recurrent_kernel),)


def step_lstm(states, projected, recurrent_kernel, _):
    h, c = states
    i, f, g, o = jnp.split(projected + h @ recurrent_kernel, 4, axis=-1)
    c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
    return jax.nn.sigmoid(o) * jnp.tanh(c), c


def step_gru(states, projected, recurrent_kernel, recurrent_bias):
    (h,) = states
    z_of_x, r_of_x, g_of_x = jnp.split(projected, 3, axis=-1)
    z_of_h, r_of_h, g_of_h = jnp.split(h @ recurrent_kernel + recurrent_bias, 3, axis=-1)
    z, r = jax.nn.sigmoid(z_of_x + z_of_h), jax.nn.sigmoid(r_of_x + r_of_h)
    return (z * h + (1 - z) * jnp.tanh(g_of_x + r * g_of_h),)


STEPS = {"vanilla": step_vanilla, "lstm": step_lstm, "gru": step_gru}


def prepare(problem: Problem) -> Prepared:
    """A scan, compiled."""
    step, mask = STEPS[problem.cell], problem.mask()
    masks = None if mask is None else jnp.asarray(mask.T[..., None])
    zeros = jnp.zeros([problem.shape.batch, problem.shape.units])
    initial_states = (zeros,) * (2 if problem.cell == "lstm" else 1)

    def outputs_of(x, kernel, recurrent_kernel, bias):
        bias, recurrent_bias = bias if problem.cell == "gru" else (bias, None)
        projected = x.swapaxes(0, 1) @ kernel + bias

        def advance(states, inputs):
            of_x, is_used = inputs
            new = step(states, of_x, recurrent_kernel, recurrent_bias)
            if is_used is not None:
                new = tuple(jnp.where(is_used, a, b) for a, b in zip(new, states, strict=True))
            return new, new[0]

        _, outputs = jax.lax.scan(advance, initial_states, (projected, masks))
        return outputs.swapaxes(0, 1)

    def loss(*arguments):
        squares = outputs_of(*arguments) ** 2
        return jnp.sum(squares if mask is None else squares * mask[..., None])

    is_training = problem.call == "training"
    call = jax.jit(jax.grad(loss, argnums=(0, 1, 2, 3)) if is_training else outputs_of)
    arguments = [jnp.asarray(array) for array in (problem.inputs(), *problem.weights())]

    def read(found):
        if is_training:
            return [np.asarray(array) for array in found]
        return [problem.without_padding(np.asarray(found))]

    return Prepared(lambda: jax.block_until_ready(call(*arguments)), read)

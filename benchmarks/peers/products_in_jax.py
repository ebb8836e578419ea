"""The matrix products that no layer can avoid, in JAX.

They are those of `products_in_xla`; JAX brings an XLA of its own.
"""

import os
from collections.abc import Callable
from typing import Any

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.peers.prepared import Prepared
from benchmarks.problems import Problem


def prepare_part(problem: Problem, part: str) -> Prepared:
    """One part of the products, compiled."""
    batch, time, features, units = problem.shape
    gates = problem.num_gates
    width, rows = gates * units, time * batch
    matrix, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(units, units)))
    kernel = jnp.tile(jnp.asarray(matrix, "float32"), [1, gates])

    def step(_, h):
        return (h @ kernel).reshape(batch, gates, units).mean(1)

    def step_back(_, delta):
        return jnp.tile(delta @ kernel.T / gates, [1, gates])

    def gradients(h, x, delta, input_kernel):
        return h.T @ delta, x.T @ delta, delta @ input_kernel.T

    parts: dict[str, tuple[Callable[..., Any], list[tuple[int, int]]]] = {
        "inputs": (jnp.matmul, [(rows, features), (features, width)]),
        "steps": (lambda h: jax.lax.fori_loop(0, time, step, h), [(batch, units)]),
        "steps back": (lambda d: jax.lax.fori_loop(0, time, step_back, d), [(batch, width)]),
        "gradients": (
            gradients,
            [(rows, units), (rows, features), (rows, width), (features, width)],
        ),
    }
    function, sizes = parts[part]
    rng = np.random.default_rng(1)
    arguments = [jnp.asarray(rng.normal(size=size), "float32") for size in sizes]
    compiled = jax.jit(function)
    return Prepared(lambda: jax.block_until_ready(compiled(*arguments)))

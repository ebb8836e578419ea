"""Gradients of gradients that are written by hand.

A function f with sources s and a gradient written by hand hands back v = (df/ds)^T u, where
u is the gradient that reaches its outputs. If no tape sees inside the code that computes v,
v needs a gradient of its own. With w the gradient that reaches v, it is

    d(w . v) / d(s, u)

and comes from a second run of f as plain ops, which TensorFlow can differentiate twice.
"""

import functools
from collections.abc import Callable

import tensorflow as tf


def twice_differentiable(
    gradients: Callable[..., list[tf.Tensor]],
    plain: Callable[..., list[tf.Tensor]],
    sources: tuple[tf.Tensor, ...],
    *upstream: tf.Tensor,
) -> list[tf.Tensor]:
    """The gradients v of the sources, which can be differentiated once more.

    Args:
        gradients: the function of u that computes v.
        plain: f as plain ops, a function of the sources.
        sources: s.
        *upstream: u, the gradients that reach the outputs of f.

    Returns:
        One gradient for each source.
    """
    first_order = functools.partial(_first_order, gradients, plain, len(sources))
    return tf.custom_gradient(lambda *tensors: first_order(*tensors))(*sources, *upstream)


def _first_order(
    gradients: Callable, plain: Callable, num_sources: int, *tensors: tf.Tensor
) -> tuple[list[tf.Tensor], Callable]:
    """v = (df/ds)^T u, and the function of its gradient; `tensors` are s and u."""
    sources, upstream = tensors[:num_sources], tensors[num_sources:]
    return gradients(*upstream), functools.partial(_second_order, plain, sources, upstream)


def _second_order(
    plain: Callable,
    sources: tuple[tf.Tensor, ...],
    upstream: tuple[tf.Tensor, ...],
    *upstream_of_gradients: tf.Tensor,
) -> list[tf.Tensor]:
    """d(w . v) / d(s, u), where w are the `upstream_of_gradients`."""
    tensors = [*sources, *upstream]
    with tf.GradientTape() as outer:
        outer.watch(tensors)
        with tf.GradientTape() as inner:
            inner.watch(sources)
            outputs = plain(*sources)
        first_order = inner.gradient(outputs, sources, list(upstream))
    return outer.gradient(
        first_order, tensors, upstream_of_gradients, unconnected_gradients="zero"
    )

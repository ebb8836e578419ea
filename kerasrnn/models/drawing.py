"""Texts drawn token by token until they end, in one loop of a graph."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from kerasrnn.models.choice import Choice
from kerasrnn.models.samplers.gumbel import gumbel
from kerasrnn.models.samplers.sampler import leave_out
from kerasrnn.text.tokens import END_ID, START_ID
from kerasrnn.text.words import PADDING_ID

Step = Callable[[tf.Tensor, Any], tuple[tf.Tensor, Any]]


def never_written(num_ids: int) -> tf.Tensor:
    """Booleans `(num_ids,)`: true for all tokens before the end, which no text contains."""
    return tf.range(num_ids) < END_ID


def draw_until_end(
    step: Step,
    states: Any,
    batch_size: tf.Tensor,
    num_ids: int,
    max_length: tf.Tensor | int,
    choice: Choice | None,
    *,
    filtered: bool = True,
) -> tf.Tensor:
    """Feeds a model the tokens that it draws, until all texts have ended.

    The draws depend on the seed, the step and the place in the batch.

    Args:
        step: from ids `(batch,)` and states to logits `(batch, num_ids)` and new states.
        states: those before the first step; any nest of tensors.
        batch_size: how many texts, an int32 scalar.
        num_ids: the size of the vocabulary.
        max_length: the most tokens of a text; it is cut off there. An int32 scalar.
        choice: temperature, seed, `top_k` and `top_p`; `None`: always the most probable token.
        filtered: whether `top_k` and `top_p` are a part of the graph. Default: `True`.

    Returns:
        Ids, int32 `(batch, max_length)`: without an end, and padded with 0.
    """
    max_length = tf.convert_to_tensor(max_length, tf.int32)
    barred = tf.where(never_written(num_ids), -float("inf"), tf.zeros([num_ids]))
    pick = _greedy if choice is None else functools.partial(_draw, choice, filtered)

    def write(t, ids, ended, states, texts):
        logits, states = keep_shapes(step(ids, states), (None, states))
        ids = pick(tf.cast(logits, tf.float32) + barred, t)
        ended |= ids == END_ID
        written = tf.where(ended, PADDING_ID, ids)
        texts = tf.where(tf.range(max_length) == t, written[:, None], texts)
        return t + 1, ids, ended, states, texts

    start = (
        tf.constant(0),
        tf.fill([batch_size], START_ID),
        tf.fill([batch_size], False),
        states,
        tf.fill([batch_size, max_length], PADDING_ID),
    )
    *_, texts = tf.while_loop(
        lambda t, ids, ended, *_: (t < max_length) & ~tf.reduce_all(ended), write, start
    )
    return texts


def _greedy(logits, _):
    return tf.argmax(logits, axis=1, output_type=tf.int32)


def _draw(choice, filtered, logits, t):
    temperature = tf.convert_to_tensor(choice.temperature, tf.float32)
    if filtered:
        logits = leave_out(logits, temperature, choice.samplers)
    seed = tf.stack([tf.convert_to_tensor(choice.seed, tf.int32), t])
    return _greedy(logits + temperature * gumbel(tf.shape(logits), seed), t)


def keep_shapes(after: Any, before: Sequence[Any]) -> Any:
    """`after`, whose tensors have the static shapes that a loop needs: those of `before`.

    Args:
        after: logits and states.
        before: `None` and the states before.
    """
    logits, states = after
    for new, old in zip(tf.nest.flatten(states), tf.nest.flatten(before[1]), strict=True):
        new.set_shape(old.shape)
    return logits, states

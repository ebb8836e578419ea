"""The loop that feeds a model its own characters, in a graph.

The random numbers of step t depend on the seed, on t and on the place in the batch, not on
the number of steps or of pieces that they are drawn in. All ops are plain TensorFlow ops, so
an exported graph draws the same characters.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from kerasrnn.models.samplers.gumbel import gumbel
from kerasrnn.models.samplers.sampler import Sampler, leave_out
from kerasrnn.text.characters import UNKNOWN_CHARACTER_ID

BLOCK = 8
"""Steps in one turn of the loop: the cost of a turn is shared by them."""

SPLIT_FROM = 16
"""The batch size from which on the two halves of a batch run in two loops, in parallel."""


def extend(
    step: Callable,
    ids: tf.Tensor,
    states: Any,
    length: tf.Tensor | int,
    num_ids: int,
    *,
    temperature: tf.Tensor | float = 1.0,
    seed: tf.Tensor | int = 0,
    samplers: Sequence[Sampler] = (),
    position: tf.Tensor | int = 0,
    num_loops: int | None = None,
) -> tuple[tf.Tensor, tf.Tensor, Any]:
    """Feeds a model the characters that it draws, `length` times.

    Args:
        step: from ids `(batch,)` and states to logits `(batch, num_ids)` and
            new states.
        ids: the last characters so far, int32 `(batch,)`.
        states: those before these characters are read; any nest of tensors.
        length: how many characters to draw, an int32 scalar.
        num_ids: the size of the vocabulary.
        temperature: what logits are divided by, a float32 scalar; 0 is greedy.
            Default: 1.
        seed: an int32 scalar. Default: 0.
        samplers: leave out improbable characters, one after the other. The
            unknown character is never drawn. Default: `()`, none.
        position: how many characters were drawn before with this seed, a multiple
            of `BLOCK`. Default: 0.
        num_loops: 1; or 2, for the two halves of a batch of `SPLIT_FROM` texts
            or more, which run in parallel and draw the same. Default: `None`,
            decided in the graph, which is larger then.

    Returns:
        The ids drawn, int32 `(batch, length)`; the last of them, `(batch,)`;
        and the states before it is read.
    """
    temperature = tf.convert_to_tensor(temperature, tf.float32)
    advance = _make_advance(step, num_ids, temperature, samplers)
    loop = functools.partial(
        _loop, advance, num_ids, temperature, tf.convert_to_tensor(seed, tf.int32)
    )
    batch_size = tf.shape(ids)[0]
    middle = tf.where(batch_size < SPLIT_FROM, batch_size, batch_size // 2)

    def run(rows, half_sizes):
        own_ids, own_states = tf.nest.map_structure(lambda tensor: tensor[rows], (ids, states))
        return loop(own_ids, own_states, length, position, half_sizes)

    def one_loop():  # whose halves draw what they draw in two loops
        return run(slice(None), {0: middle, 1: batch_size - middle})

    def two_loops():
        halves = (
            run(slice(None, middle), {0: middle}),
            run(slice(middle, None), {1: batch_size - middle}),
        )
        return tf.nest.map_structure(lambda a, b: tf.concat([a, b], axis=0), *halves)

    if num_loops is None:
        return tf.cond(batch_size < SPLIT_FROM, one_loop, two_loops)
    return one_loop() if num_loops == 1 else two_loops()


def _make_advance(step, num_ids, temperature, samplers):
    """From the last ids, states and noise to the next ids and states; traced once."""

    @functools.partial(tf.function, autograph=False)
    def advance(ids, states, noise):
        logits, states = step(ids, states)
        if samplers:
            logits = leave_out(logits + _bar_unknown(num_ids), temperature, samplers)
        return tf.argmax(logits + noise, axis=1, output_type=tf.int32), states

    def advance_in_shape(ids, states, noise):
        after = advance(ids, states, noise)
        for new, old in zip(
            tf.nest.flatten(after), tf.nest.flatten((ids, states)), strict=True
        ):
            new.set_shape(old.shape)  # which a loop must keep
        return after

    return advance_in_shape


def _bar_unknown(num_ids):
    unknown = tf.range(num_ids) == UNKNOWN_CHARACTER_ID
    return tf.where(unknown, -float("inf"), tf.zeros([num_ids]))


def _loop(advance, num_ids, temperature, seed, ids, states, length, position, half_sizes):
    """`half_sizes`: `{half: how many texts it has}`; each half has its own noise."""
    batch_size, length = tf.shape(ids)[0], tf.cast(length, tf.int32)
    num_blocks, first_block = length // BLOCK, tf.cast(position, tf.int32) // BLOCK
    barred = _bar_unknown(num_ids)

    def draw_noise(block):
        counter = first_block + block
        noise = tf.concat(
            [
                gumbel([size, BLOCK, num_ids], tf.stack([seed, counter - half * 2**30]))
                for half, size in half_sizes.items()
            ],
            axis=0,
        )
        return tf.transpose(noise * temperature, [1, 0, 2]) + barred

    def run_block(block, ids, states, blocks):
        noise, drawn = draw_noise(block), []
        for k in range(BLOCK):
            ids, states = advance(ids, states, noise[k])
            drawn.append(ids)
        return block + 1, ids, states, blocks.write(block, tf.stack(drawn))

    blocks = tf.TensorArray(tf.int32, num_blocks + 1, element_shape=[BLOCK, ids.shape[0]])
    start = (tf.constant(0), ids, states, blocks)
    _, ids, states, blocks = tf.while_loop(lambda b, *_: b < num_blocks, run_block, start)

    noise = draw_noise(num_blocks)  # of the last, incomplete block

    def run_step(k, ids, states, drawn):
        ids, states = advance(ids, states, noise[k])
        return k + 1, ids, states, tf.where(tf.range(BLOCK)[:, None] == k, ids, drawn)

    rest = tf.ensure_shape(tf.zeros([BLOCK, batch_size], tf.int32), [BLOCK, ids.shape[0]])
    start = (tf.constant(0), ids, states, rest)
    remaining = length - num_blocks * BLOCK
    _, ids, states, rest = tf.while_loop(lambda k, *_: k < remaining, run_step, start)
    drawn = tf.transpose(blocks.write(num_blocks, rest).concat()[:length])
    return drawn, ids, states

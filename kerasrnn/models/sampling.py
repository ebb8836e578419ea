"""From scores to the next character: temperature, top-k, top-p, greedy; and the loop.

Drawing from softmax(logits / T) is taking the largest of logits + T g, where
the g are independent Gumbel numbers (Gumbel-max): no softmax, no cumulated sum,
and T = 0 is greedy by itself.

The numbers of step t depend on the seed, on t and on the place in the batch, not on how
many steps are asked for or in how many pieces. All of it is plain TensorFlow ops, so that an
exported graph draws the same characters.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from kerasrnn.checks import is_integer, is_number
from kerasrnn.text.characters import UNKNOWN_CHARACTER_ID

BLOCK = 8
"""Steps in one turn of the loop, which makes up for the price of a turn."""


SPLIT_FROM = 16
"""Texts in a batch from which on its two halves are loops of their own, side by side."""


HIGHEST_TEMPERATURE = 1e6
_SMALLEST = float(np.finfo(np.float32).tiny)


class Choice(NamedTuple):
    """How characters are chosen; every field is a scalar tensor or a number."""

    temperature: Any = 1.0
    """What logits are divided by; 0 always takes the most probable character."""
    seed: Any = 0
    """int32."""
    top_k: Any = 0
    """Only the `top_k` most probable characters are drawn; 0: all."""
    top_p: Any = 1.0
    """Only the most probable characters are drawn, as few as together have the
    probability `top_p`; 1: all (Holtzman et al. 2020, arXiv:1904.09751)."""


def make_choice(
    temperature: float,
    top_k: int | None,
    top_p: float | None,
    seed: int | None,
    num_ids: int,
) -> Choice:
    """The arguments of `generate`, checked.

    Args:
        temperature, top_k, top_p, seed: as `CharLanguageModel.generate` takes
            them. Without a seed one is drawn from NumPy's generator.
        num_ids: the size of the vocabulary.

    Returns:
        A `Choice`, in which 0 and 1.0 stand for no `top_k` and no `top_p`.

    Raises:
        ValueError: for an argument out of its range.
    """
    if not is_number(temperature) or not 0 <= temperature <= HIGHEST_TEMPERATURE:
        raise ValueError(
            f"temperature must lie in [0, {HIGHEST_TEMPERATURE:g}], "
            f"got temperature={temperature!r}. Use 0 for the most probable character always."
        )
    known = num_ids - 1  # the unknown character is never drawn
    if top_k is not None and not (is_integer(top_k) and 1 <= top_k <= known):
        raise ValueError(
            f"top_k must be an integer in [1, {known}], the characters of the vocabulary, "
            f"got top_k={top_k!r}."
        )
    if top_p is not None and not (is_number(top_p) and 0 < top_p <= 1):
        raise ValueError(f"top_p must lie in (0, 1], got top_p={top_p!r}.")
    if seed is not None and not (is_integer(seed) and -(2**31) <= seed < 2**31):
        raise ValueError(f"seed must be an integer of 32 bits, got seed={seed!r}.")
    if seed is None:
        seed = int(np.random.randint(2**31))
    top_p = 1.0 if top_p is None else top_p
    return Choice(float(temperature), int(seed), int(top_k or 0), float(top_p))


def gumbel(shape, seed: tf.Tensor) -> tf.Tensor:
    """Gumbel numbers for a seed, int32 `(2,)`; all of them finite."""
    return _to_gumbel(tf.random.stateless_uniform(shape, seed, minval=_SMALLEST))


def _to_gumbel(uniform):
    return -tf.math.log(-tf.math.log(uniform))


def keep_probable(logits: tf.Tensor, choice: Choice) -> tf.Tensor:
    """`logits`, `(batch, num_ids)`, minus infinity for what top-k and top-p leave out.

    Top-k comes first; top-p is of the probabilities that remain, at the
    temperature. Characters that are equally probable stay together.
    """
    num_ids = tf.shape(logits)[1]
    ranked = tf.sort(logits, direction="DESCENDING")
    rank = tf.range(num_ids)
    top_k = tf.convert_to_tensor(choice.top_k)
    within = (rank < top_k) | (top_k < 1)
    scaled = (ranked - ranked[:, :1]) / tf.maximum(choice.temperature, 1e-6)
    probabilities = tf.nn.softmax(tf.where(within, scaled, -float("inf")))
    before = tf.cumsum(probabilities, axis=1, exclusive=True)
    within &= (before < choice.top_p) | (rank == 0) | (choice.top_p >= 1)
    least = tf.reduce_min(tf.where(within, ranked, float("inf")), axis=1, keepdims=True)
    return tf.where(logits < least, -float("inf"), logits)


def extend(
    step: Callable,
    ids: tf.Tensor,
    states: Any,
    length: tf.Tensor,
    choice: Choice,
    num_ids: int,
    position: tf.Tensor | int = 0,
    *,
    filtered: bool = True,
    num_loops: int | None = None,
) -> tuple[tf.Tensor, tf.Tensor, Any]:
    """Feeds a model what it draws itself, `length` times.

    Args:
        step: from ids `(batch,)` and states to logits `(batch, num_ids)` and
            new states.
        ids: the last characters so far, int32 `(batch,)`.
        states: those before these characters are read; any nest of tensors.
        length: how many characters to draw, an int32 scalar.
        choice: how they are chosen. The unknown character never is.
        num_ids: the size of the vocabulary.
        position: how many were drawn before with this seed, a multiple of
            `BLOCK`. Default: 0.
        filtered: whether top-k and top-p are looked at. Default: `True`.
        num_loops: 1; or 2, for the two halves of a batch of `SPLIT_FROM` texts
            or more, which go side by side and draw the same. Default: `None`,
            found out in the graph, which is larger then.

    Returns:
        The ids drawn, int32 `(batch, length)`; the last of them, `(batch,)`;
        and the states before it is read.
    """
    choice = Choice(*map(tf.convert_to_tensor, choice))
    advance = _make_advance(step, num_ids, filtered)

    batch_size = tf.shape(ids)[0]
    middle = tf.where(batch_size < SPLIT_FROM, batch_size, batch_size // 2)

    def loop(rows, half_sizes):
        own_ids, own_states = tf.nest.map_structure(lambda tensor: tensor[rows], (ids, states))
        return _loop(
            advance, own_ids, own_states, length, choice, num_ids, position, half_sizes
        )

    def one_loop():  # whose halves draw what they draw in two loops
        return loop(slice(None), {0: middle, 1: batch_size - middle})

    def two_loops():
        halves = (
            loop(slice(None, middle), {0: middle}),
            loop(slice(middle, None), {1: batch_size - middle}),
        )
        return tf.nest.map_structure(lambda a, b: tf.concat([a, b], axis=0), *halves)

    if num_loops is None:
        return tf.cond(batch_size < SPLIT_FROM, one_loop, two_loops)
    return one_loop() if num_loops == 1 else two_loops()


def _make_advance(step, num_ids, filtered):
    """From the last ids, states and noise to the next ids and states; traced once."""

    @functools.partial(tf.function, autograph=False)
    def advance(ids, states, noise, choice):
        logits, states = step(ids, states)
        if filtered:
            logits = keep_probable(logits + _bar_unknown(num_ids), choice)
        return tf.argmax(logits + noise, axis=1, output_type=tf.int32), states

    def advance_in_shape(ids, states, noise, choice):
        after = advance(ids, states, noise, choice)
        for new, old in zip(
            tf.nest.flatten(after), tf.nest.flatten((ids, states)), strict=True
        ):
            new.set_shape(old.shape)  # which a loop must keep
        return after

    return advance_in_shape


def _bar_unknown(num_ids):
    return tf.where(
        tf.range(num_ids) == UNKNOWN_CHARACTER_ID, -float("inf"), tf.zeros([num_ids])
    )


def _loop(advance, ids, states, length, choice, num_ids, position, half_sizes):
    """`half_sizes`: `{half: how many texts of it}`; the noise of a half is its own."""
    batch_size, length = tf.shape(ids)[0], tf.cast(length, tf.int32)
    num_blocks, first_block = length // BLOCK, tf.cast(position, tf.int32) // BLOCK
    barred = _bar_unknown(num_ids)

    def draw_noise(block):
        seed, counter = tf.cast(choice.seed, tf.int32), first_block + block
        noise = tf.concat(
            [
                gumbel([size, BLOCK, num_ids], tf.stack([seed, counter - half * 2**30]))
                for half, size in half_sizes.items()
            ],
            axis=0,
        )
        noise *= tf.cast(choice.temperature, tf.float32)
        return tf.transpose(noise, [1, 0, 2]) + barred

    def run_block(block, ids, states, blocks):
        noise, drawn = draw_noise(block), []
        for k in range(BLOCK):
            ids, states = advance(ids, states, noise[k], choice)
            drawn.append(ids)
        return block + 1, ids, states, blocks.write(block, tf.stack(drawn))

    blocks = tf.TensorArray(tf.int32, num_blocks + 1, element_shape=[BLOCK, ids.shape[0]])
    start = (tf.constant(0), ids, states, blocks)
    _, ids, states, blocks = tf.while_loop(lambda b, *_: b < num_blocks, run_block, start)

    noise = draw_noise(num_blocks)  # of the last, incomplete block

    def run_step(k, ids, states, drawn):
        ids, states = advance(ids, states, noise[k], choice)
        return k + 1, ids, states, tf.where(tf.range(BLOCK)[:, None] == k, ids, drawn)

    rest = tf.ensure_shape(tf.zeros([BLOCK, batch_size], tf.int32), [BLOCK, ids.shape[0]])
    start = (tf.constant(0), ids, states, rest)
    remaining = length - num_blocks * BLOCK
    _, ids, states, rest = tf.while_loop(lambda k, *_: k < remaining, run_step, start)
    drawn = tf.transpose(blocks.write(num_blocks, rest).concat()[:length])
    return drawn, ids, states

"""Beam search: the most probable texts, found in one loop of a graph.

The score of a text y_1 ... y_n, where y_n is the end, is its log probability divided by a
length penalty. Without it, short texts win, since each token makes a text less probable:

    score(y) = (log p(y_1) + ... + log p(y_n)) / ((5 + n) / 6) ** length_penalty

Each step extends the `beam` most probable unfinished texts by each token, and looks at the
2 * `beam` most probable results. Those that end are finished, and the `beam` with the highest
scores are kept aside. Of the others, the `beam` most probable ones go on. The search stops when
no unfinished text can still get among those kept aside.

Reference: Y. Wu et al., "Google's neural machine translation system", 2016, arXiv:1609.08144,
section 7.
"""

from typing import Any

import tensorflow as tf

from kerasrnn.models.drawing import Step, keep_shapes, never_written
from kerasrnn.text.tokens import END_ID, START_ID

LENGTH_PENALTY = 0.6
HIGHEST_PENALTY = 10.0
"""With a much larger one, the scores of long texts are all 0 in float32."""
_NEVER = -float("inf")


def beam_search(
    step: Step,
    states: Any,
    batch_size: tf.Tensor,
    num_ids: int,
    max_length: tf.Tensor | int,
    beam: tf.Tensor | int,
    length_penalty: tf.Tensor | float = LENGTH_PENALTY,
) -> tuple[tf.Tensor, tf.Tensor]:
    """The texts with the highest scores that a beam finds, for each row of a batch.

    The search is exact if the beam is as large as the number of texts of each length.

    Args:
        step: from ids `(rows,)` and states to log probabilities up to a constant
            `(rows, num_ids)` and new states. There are `beam` rows for each of the batch.
        states: those before the first step, `(batch, ...)`; any nest of tensors.
        batch_size: an int32 scalar.
        num_ids: the size of the vocabulary.
        max_length: the most tokens of a text, without its end. An int32 scalar.
        beam: how many texts are extended, and returned; from 1 to `num_ids`. An int32 scalar.
        length_penalty: from 0 to `HIGHEST_PENALTY`; 0 compares log probabilities. A float32
            scalar.

    Returns:
        Ids, int32 `(batch, beam, max_length)`, padded with 0; and the scores, float32
        `(batch, beam)`, in descending order. Where there are fewer texts than `beam`, the
        score is minus infinity.
    """
    beam = tf.convert_to_tensor(beam, tf.int32)
    max_length = tf.convert_to_tensor(max_length, tf.int32)
    length_penalty = tf.convert_to_tensor(length_penalty, tf.float32)
    barred = never_written(num_ids)
    ends = tf.range(num_ids) == END_ID
    first_rows = tf.range(batch_size)[:, None] * beam
    fewest = tf.range(beam) == 0  # there is one text to begin with

    def score(log_probability, num_tokens):
        return (
            log_probability / ((5.0 + tf.cast(num_tokens, tf.float32)) / 6.0) ** length_penalty
        )

    def extend(t, ids, states, alive, log_p, finished, scores):
        logits, states = keep_shapes(step(ids, states), (None, states))
        possible = tf.where(t == max_length, ends, ~barred)  # at last, a text has to end
        of_tokens = tf.nn.log_softmax(tf.cast(logits, tf.float32))
        of_tokens = tf.where(possible, of_tokens, _NEVER)
        extended = log_p[:, :, None] + tf.reshape(of_tokens, [batch_size, beam, num_ids])
        # At most `beam` of twice as many end, so that `beam` can go on.
        best, places = tf.math.top_k(
            tf.reshape(extended, [batch_size, beam * num_ids]), 2 * beam
        )
        parents, tokens = places // num_ids, places % num_ids
        texts = tf.gather(alive, parents, batch_dims=1)
        is_end = tokens == END_ID

        ended = tf.where(is_end, score(best, t + 1), _NEVER)
        scores, kept = tf.math.top_k(tf.concat([scores, ended], 1), beam)
        finished = tf.gather(tf.concat([finished, texts], 1), kept, batch_dims=1)

        log_p, kept = tf.math.top_k(tf.where(is_end, _NEVER, best), beam)
        parents, tokens, texts = (
            tf.gather(part, kept, batch_dims=1) for part in (parents, tokens, texts)
        )
        alive = tf.where(tf.range(max_length) == t, tokens[:, :, None], texts)
        rows = tf.reshape(first_rows + parents, [-1])
        states = tf.nest.map_structure(lambda state: tf.gather(state, rows), states)
        return t + 1, tf.reshape(tokens, [-1]), states, alive, log_p, finished, scores

    def goes_on(t, ids, states, alive, log_p, finished, scores):
        # Log probabilities only fall: this is the most that an unfinished text can reach.
        hope = score(log_p[:, 0], max_length + 1)
        return (t <= max_length) & tf.reduce_any(hope > scores[:, -1])

    texts = tf.zeros([batch_size, beam, max_length], tf.int32)
    nothing = tf.fill([batch_size, beam], _NEVER)
    start = (
        tf.constant(0),
        tf.fill([batch_size * beam], START_ID),
        tf.nest.map_structure(lambda state: repeat_rows(state, beam), states),
        texts,
        tf.where(fewest, tf.zeros_like(nothing), nothing),
        texts,
        nothing,
    )
    free = [tf.TensorShape([None] * rank) for rank in range(4)]
    of_states = tf.nest.map_structure(
        lambda state: tf.TensorShape([None, *state.shape[1:]]), states
    )
    shapes = (free[0], free[1], of_states, free[3], free[2], free[3], free[2])
    *_, finished, scores = tf.while_loop(goes_on, extend, start, shape_invariants=shapes)
    return finished, scores


def repeat_rows(tensor: tf.Tensor, count: tf.Tensor | int) -> tf.Tensor:
    """Each row of a tensor `(batch, ...)`, `count` times in succession."""
    repeated = tf.repeat(tensor, count, axis=0)
    repeated.set_shape([None, *tensor.shape[1:]])
    return repeated

"""What a language model does with texts, as plain graph ops: read, write, score.

Texts of a batch may differ in length. Each function returns the last characters and the
states before they are read. `write` and `nats_of` continue from these.
"""

from typing import TYPE_CHECKING

import tensorflow as tf

from kerasrnn.models import decoding
from kerasrnn.models.choice import Choice
from kerasrnn.text.batches import pad
from kerasrnn.text.characters import UNKNOWN_CHARACTER_ID, CharacterVocabulary

if TYPE_CHECKING:  # it imports what uses this module
    from kerasrnn.models.language_model import CharLanguageModel


def start_id(vocabulary: CharacterVocabulary) -> int:
    """The character that an empty text counts as.

    A line feed; if the vocabulary has none, a space; or else its first character.
    """
    known = vocabulary.characters
    return next((known.index(c) for c in ("\n", " ") if c in known), 1)


def read(model: "CharLanguageModel", texts: tf.Tensor) -> tuple[tf.Tensor, list]:
    """Reads texts up to their last character; an empty text counts as `start_id`.

    Args:
        model: a built language model.
        texts: strings, `(batch,)`.

    Returns:
        The last characters, int32 `(batch,)`, and the states before them.
    """
    ragged = model.vocabulary.ids_of(texts)
    lengths, ids = tf.cast(ragged.row_lengths(), tf.int32), pad(ragged)
    before = tf.maximum(lengths - 1, 0)
    last = tf.gather(ids, before, batch_dims=1)
    last = tf.where(lengths > 0, last, start_id(model.vocabulary))
    mask = tf.sequence_mask(before, tf.shape(ids)[1])
    _, states = model.steps(ids, model.initial_states(tf.shape(ids)[0]), mask)
    return last, states


def write(
    model: "CharLanguageModel",
    ids: tf.Tensor,
    states: list,
    length: tf.Tensor,
    choice: Choice,
    position: tf.Tensor | int = 0,
    *,
    filtered: bool = True,
    num_loops: int | None = None,
) -> tuple[tf.Tensor, tf.Tensor, list]:
    """Continues texts.

    Args:
        model: a built language model.
        ids: the last characters, int32 `(batch,)`.
        states: those before them.
        length: how many characters to write, an int32 scalar.
        choice: how they are chosen.
        position: how many were written before, a multiple of `decoding.BLOCK`.
            Default: 0.
        filtered: whether the graph has the samplers of `choice`. Default: `True`.
        num_loops: see `decoding.extend`.

    Returns:
        What was written, strings `(batch,)`; the last characters; and the
        states before them.
    """
    drawn, ids, states = decoding.extend(
        model.step,
        ids,
        states,
        length,
        len(model.vocabulary),
        temperature=choice.temperature,
        seed=choice.seed,
        samplers=choice.samplers if filtered else (),
        position=position,
        num_loops=num_loops,
    )
    return model.vocabulary.texts_of(drawn), ids, states


def nats_of(
    model: "CharLanguageModel", texts: tf.Tensor, ids: tf.Tensor, states: list
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor, list]:
    """How well a model predicts texts.

    Args:
        model: a built language model.
        texts: strings, `(batch,)`.
        ids: the characters before them, int32 `(batch,)`.
        states: those before these characters.

    Returns:
        For each text the sum of -ln p, float32; how many characters it has
        and how many of them are unknown, int32; the last character; and
        the states before it.
    """
    ragged = model.vocabulary.ids_of(texts)
    lengths, targets = tf.cast(ragged.row_lengths(), tf.int32), pad(ragged)
    inputs = tf.concat([ids[:, None], targets[:, :-1]], axis=1)
    mask = tf.sequence_mask(lengths, tf.shape(targets)[1])
    logits, states = model.steps(inputs, states, mask)
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(targets, logits)
    nats = tf.reduce_sum(tf.where(mask, losses, 0.0), axis=1)
    unknown = mask & (targets == UNKNOWN_CHARACTER_ID)
    num_unknown = tf.reduce_sum(tf.cast(unknown, tf.int32), axis=1)
    last = tf.gather(targets, tf.maximum(lengths - 1, 0), batch_dims=1)
    last = tf.where(lengths > 0, last, ids)
    return nats, lengths, num_unknown, last, states


def input_specs(model: "CharLanguageModel") -> tuple[tf.TensorSpec, tf.TensorSpec, list]:
    """Texts, last characters and states of any batch size, as a graph takes them."""
    states = tf.nest.map_structure(
        lambda state: tf.TensorSpec([None, *state.shape[1:]], state.dtype),
        model.initial_states(1),
    )
    return tf.TensorSpec([None], tf.string), tf.TensorSpec([None], tf.int32), states

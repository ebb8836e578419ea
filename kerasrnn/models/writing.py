"""What a decoder does with sources, as plain graph ops: draw, search and score texts."""

import functools
from typing import TYPE_CHECKING

import tensorflow as tf

from kerasrnn.models.beam_search import beam_search, repeat_rows
from kerasrnn.models.choice import Choice
from kerasrnn.models.drawing import draw_until_end
from kerasrnn.text.batches import pad
from kerasrnn.text.tokens import END_ID, START_ID

if TYPE_CHECKING:  # it imports this module
    from kerasrnn.models.text_decoder import TextDecoder


def draw(
    model: "TextDecoder",
    source: tf.Tensor,
    max_length: tf.Tensor,
    choice: Choice | None,
    *,
    filtered: bool = True,
) -> tf.Tensor:
    """Draws the tokens of a text for each source.

    Args:
        model: a built model.
        source: as `start` takes it, `(batch, ...)`.
        max_length: the most tokens, an int32 scalar.
        choice: how tokens are chosen; `None`: always the most probable one.
        filtered: whether `top_k` and `top_p` are a part of the graph. Default: `True`.

    Returns:
        Ids, int32 `(batch, max_length)`, padded with 0.
    """
    states, memory = model.start(source, training=False)
    return draw_until_end(
        functools.partial(model.step, memory),
        states,
        tf.shape(source)[0],
        len(model.vocabulary),
        max_length,
        choice,
        filtered=filtered,
    )


def search(
    model: "TextDecoder",
    source: tf.Tensor,
    max_length: tf.Tensor,
    beam: tf.Tensor,
    length_penalty: tf.Tensor,
) -> tuple[tf.Tensor, tf.Tensor]:
    """The best texts that a beam search finds for each source.

    Returns:
        Ids, int32 `(batch, beam, max_length)`, padded with 0, and the scores, float32
        `(batch, beam)`.
    """
    states, memory = model.start(source, training=False)
    if memory is not None:
        memory = tf.nest.map_structure(lambda part: repeat_rows(part, beam), memory)
    return beam_search(
        functools.partial(model.step, memory),
        states,
        tf.shape(source)[0],
        len(model.vocabulary),
        max_length,
        beam,
        length_penalty,
    )


def score(
    model: "TextDecoder", source: tf.Tensor, texts: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor | None]:
    """How probable texts are, given their sources.

    Args:
        model: a built model.
        source: as `start` takes it, `(batch, ...)`.
        texts: strings, `(batch,)`.

    Returns:
        For each text the sum of -ln p over its tokens and its end, float32; how many these
        are, int32; and the weights of the attention, `(batch, time, source_time)`, or `None`.
    """
    ragged = model.vocabulary.encode(texts)
    lengths, ids = tf.cast(ragged.row_lengths(), tf.int32), pad(ragged)
    before = tf.pad(ids, [[0, 0], [1, 0]], constant_values=START_ID)
    time = tf.range(tf.shape(before)[1])
    targets = tf.pad(ids, [[0, 0], [0, 1]])
    targets = tf.where(time == lengths[:, None], END_ID, targets)
    logits, weights = model.call(
        {"inputs": before, "source": source}, training=False, return_weights=True
    )
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(targets, logits)
    nats = tf.reduce_sum(tf.where(time <= lengths[:, None], losses, 0.0), axis=1)
    return nats, lengths + 1, weights


class Writers:
    """The graphs of a model, each traced once for all sizes.

    Args:
        model: a built model.
    """

    def __init__(self, model: "TextDecoder"):
        self.model, self.source = model, model.source_spec()
        self.draw = functools.cache(self._make_draw)
        integer, real = tf.TensorSpec([], tf.int32), tf.TensorSpec([], tf.float32)
        self.integer, self.choice = integer, Choice(real, integer, integer, real)
        self.penalty = real

    @staticmethod
    def _trace(function, *signature):
        # One that is concrete: TensorFlow warns of a process that traces for many models.
        return tf.function(function, signature, autograph=False).get_concrete_function()

    def _make_draw(self, filtered: bool):
        def draw_texts(source, max_length, choice):
            source = self.model.read(source)
            ids = draw(self.model, source, max_length, choice, filtered=filtered)
            return self.model.vocabulary.decode(ids)

        return self._trace(draw_texts, self.source, self.integer, self.choice)

    @functools.cached_property
    def search(self):
        """From sources, a length, a beam and a penalty to texts and scores."""

        def find(source, max_length, beam, length_penalty):
            source = self.model.read(source)
            ids, scores = search(self.model, source, max_length, beam, length_penalty)
            return self.model.vocabulary.decode(ids), scores

        return self._trace(find, self.source, self.integer, self.integer, self.penalty)

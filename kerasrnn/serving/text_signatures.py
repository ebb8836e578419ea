"""The signatures of models that write a text for each source."""

import contextlib
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from kerasrnn.models import writing
from kerasrnn.models.beam_search import HIGHEST_PENALTY, LENGTH_PENALTY
from kerasrnn.models.seq2seq import Seq2Seq
from kerasrnn.models.text_decoder import TextDecoder
from kerasrnn.text.batches import pad


def of_text_decoder(model: TextDecoder) -> dict[str, tuple[Callable, list, dict[str, Any]]]:
    """For each signature its function, its inputs, and an example of them."""
    source = model.source_spec()
    max_length = model.max_length
    most = len(model.vocabulary.tokens) + 1

    def write(source):
        ids = writing.draw(model, source, max_length, None)
        return model.vocabulary.decode(ids), ids

    def generate(**given):
        rows, count = _at_least_one(given[source.name])
        return {"text": write(model.read(rows))[0][:count]}

    def nbest(beam, length_penalty, **given):
        in_range = (length_penalty >= 0) & (length_penalty <= HIGHEST_PENALTY)
        with _required(
            (beam, (beam >= 1) & (beam <= most), f"beam must lie in [1, {most}]"),
            (length_penalty, in_range, f"length_penalty must lie in [0, {HIGHEST_PENALTY:g}]"),
        ):
            rows, count = _at_least_one(tf.identity(given[source.name]))
            beam = tf.identity(beam)
        ids, scores = writing.search(model, model.read(rows), max_length, beam, length_penalty)
        return {"text": model.vocabulary.decode(ids)[:count], "score": scores[:count]}

    def score(target, **given):
        sizes = tf.shape(given[source.name])[0], tf.shape(target)[0]
        rule = f"there must be a target for each {source.name}"
        with _required((sizes, sizes[0] == sizes[1], rule)):
            rows, count = _at_least_one(tf.identity(given[source.name]))
        targets, _ = _at_least_one(target)
        nats, num_tokens, weights = writing.score(model, model.read(rows), targets)
        outputs = {"nats": nats, "num_tokens": num_tokens}
        if weights is not None and isinstance(model, Seq2Seq):
            outputs["attention"] = weights
            source_tokens = model.source_vocabulary.tokenize(rows).to_tensor("")
            outputs["source_tokens"] = source_tokens[:, : model.max_source_length]
            outputs["target_tokens"] = model.vocabulary.tokenize(targets).to_tensor("")
        return {name: output[:count] for name, output in outputs.items()}

    def write_ids(ids):
        rows, count = _at_least_one(pad(ids))
        return {"ids": write(rows)[1][:count]}

    beam = tf.TensorSpec([], tf.int32, "beam")
    length_penalty = tf.TensorSpec([], tf.float32, "length_penalty")
    target = tf.TensorSpec([None], tf.string, "target")
    example = {
        source.name: _example_of(model),
        "ids": [[4, 0]],
        "target": [model.vocabulary.tokens[0]],
        "beam": min(2, most),
        "length_penalty": LENGTH_PENALTY,
    }
    signatures: dict[str, tuple[Callable, list, dict[str, Any]]] = {
        "serving_default": (generate, [source], example),
        "nbest": (nbest, [source, beam, length_penalty], example),
        "score": (score, [source, target], example),
    }
    if isinstance(model, Seq2Seq):
        ids = tf.TensorSpec([None, None], tf.int32, "ids")
        signatures["ids"] = (write_ids, [ids], example)
    return signatures


def _at_least_one(rows: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """A batch, with a row more if it is empty, which layers cannot take; and its size."""
    count = tf.shape(rows)[0]
    more = tf.cast(count == 0, tf.int32)
    paddings = tf.concat([[[0, more]], tf.zeros([len(rows.shape) - 1, 2], tf.int32)], 0)
    return tf.pad(rows, paddings, constant_values="" if rows.dtype == tf.string else 0), count


def _required(*rules: tuple[Any, tf.Tensor, str]) -> contextlib.AbstractContextManager:
    """What is made inside runs only if each rule holds: values, whether it does, and words."""
    return tf.control_dependencies(
        [
            tf.debugging.Assert(holds, [f"{rule}, got", *tf.nest.flatten(values)])
            for values, holds, rule in rules
        ]
    )


def _example_of(model: TextDecoder) -> Any:
    if isinstance(model, Seq2Seq):
        return [(model.source_vocabulary.tokens or ("",))[0]]
    return model.example_source()

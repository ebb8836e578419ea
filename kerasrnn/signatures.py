"""What an exported model can be asked: named inputs, named outputs, plain TensorFlow ops."""

import functools
from collections.abc import Callable

import tensorflow as tf

from kerasrnn.models.classifier import TextClassifier
from kerasrnn.models.language_model import CharLanguageModel
from kerasrnn.sampling import BLOCK, HIGHEST_TEMPERATURE, Choice
from kerasrnn.text import pad

DECISION_THRESHOLD = 0.5

Exportable = TextClassifier | CharLanguageModel


def make_signatures(model: Exportable, table: tf.lookup.StaticHashTable) -> dict[str, Callable]:
    """The signatures of a model, as `tf.saved_model.save` takes them.

    Args:
        model: a built model.
        table: the look-up table of its vocabulary, read from an asset.

    Returns:
        Concrete functions by the name of the signature.
    """
    of_kind = _of_classifier if isinstance(model, TextClassifier) else _of_language_model
    return {
        name: tf.function(function, autograph=False).get_concrete_function(
            **{spec.name: spec for spec in specs}
        )
        for name, (function, specs) in of_kind(model, table).items()
    }


def _of_classifier(model, table):
    def classify_ids(ids):
        return {"probability": model(pad(ids), training=False)[:, 0]}

    def classify_text(text):
        ids = model.vocabulary.encode(text, model.max_length, table)
        probability = classify_ids(ids)["probability"]
        negative, positive = model.labels
        label = tf.where(probability >= DECISION_THRESHOLD, positive, negative)
        return {"probability": probability, "label": label}

    return {
        "serving_default": (classify_text, [tf.TensorSpec([None], tf.string, "text")]),
        "ids": (classify_ids, [tf.TensorSpec([None, None], tf.int32, "ids")]),
    }


def _of_language_model(model, table):
    text = tf.TensorSpec([None], tf.string, "text")
    ids = tf.TensorSpec([None], tf.int32, "ids")
    structure = model.initial_states(1)
    states = [
        tf.TensorSpec([None, *state.shape[1:]], state.dtype, f"state_{number}")
        for number, state in enumerate(tf.nest.flatten(structure))
    ]
    integer = functools.partial(tf.TensorSpec, [], tf.int32)
    real = functools.partial(tf.TensorSpec, [], tf.float32)
    length, seed, position = integer("length"), integer("seed"), integer("position")
    temperature, top_k, top_p = real("temperature"), integer("top_k"), real("top_p")

    def pack(inputs):
        return tf.nest.pack_sequence_as(structure, [inputs[spec.name] for spec in states])

    def name(states):
        flat = tf.nest.flatten(states)
        return {f"state_{number}": state for number, state in enumerate(flat)}

    def generate(text, length, temperature, seed):
        with _required(length, temperature):
            ids, states = model.read(text, table)
        choice = Choice(temperature, seed)
        written, _, _ = model.write(ids, states, length, choice, filtered=False)
        return {"text": written}

    def step(ids, **inputs):
        logits, states = model.step(ids, pack(inputs))
        return {"logits": logits, **name(states)}

    def read(text):
        ids, states = model.read(text, table)
        return {"ids": ids, **name(states)}

    def write(ids, length, temperature, top_k, top_p, seed, position, **inputs):
        choice = Choice(temperature, seed, top_k, top_p)
        with _required(length, temperature, position):
            ids = tf.identity(ids)
        states = pack(inputs)
        # One loop, with the filters: the first answer of a smaller graph comes sooner.
        written, ids, states = model.write(ids, states, length, choice, position, num_loops=1)
        return {"text": written, "ids": ids, **name(states)}

    def score(text, ids, **inputs):
        outputs = model.nats_of(text, ids, pack(inputs), table)
        names = ("nats", "num_characters", "num_unknown", "ids")
        return {**dict(zip(names, outputs[:4], strict=True)), **name(outputs[4])}

    choice = [length, temperature, top_k, top_p, seed, position]
    return {
        "serving_default": (generate, [text, length, temperature, seed]),
        "step": (step, [ids, *states]),
        "read": (read, [text]),
        "write": (write, [ids, *choice, *states]),
        "score": (score, [text, ids, *states]),
    }


def _required(length, temperature, position=0):
    asked = {
        "length must be 0 or more": (length, length >= 0),
        f"temperature must lie in [0, {HIGHEST_TEMPERATURE:g}]": (
            temperature,
            (temperature >= 0) & (temperature <= HIGHEST_TEMPERATURE),
        ),
        f"position must be a multiple of {BLOCK}": (
            position,
            position // BLOCK * BLOCK == position,
        ),
    }
    return tf.control_dependencies(
        [tf.debugging.Assert(holds, [f"{rule}, got", x]) for rule, (x, holds) in asked.items()]
    )

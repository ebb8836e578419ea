"""The signatures of exported models: named inputs, named outputs, plain TensorFlow ops."""

import functools
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from kerasrnn.layers.compilation import scan_mode
from kerasrnn.models import text_graph
from kerasrnn.models.choice import HIGHEST_TEMPERATURE, Choice
from kerasrnn.models.classifier import TextClassifier
from kerasrnn.models.decoding import BLOCK
from kerasrnn.models.forecaster import Forecaster
from kerasrnn.models.language_model import CharLanguageModel
from kerasrnn.models.sequence import SequenceModel
from kerasrnn.models.text_decoder import TextDecoder
from kerasrnn.serving.text_signatures import of_text_decoder
from kerasrnn.text.batches import pad
from kerasrnn.training.carrying import cannot_carry

DECISION_THRESHOLD = 0.5


class Signature(NamedTuple):
    """One function of an exported model."""

    function: tf.types.experimental.ConcreteFunction
    """Takes inputs by their names, and returns outputs by theirs."""
    example: dict[str, tf.Tensor]
    """A value for each input, for a warm-up request."""


def make_signatures(model: keras.Model) -> dict[str, Signature]:
    """The signatures of a built model by their names; see `kerasrnn.export`.

    Raises:
        ValueError: if the inputs of the model are not known.
    """
    if isinstance(model, TextClassifier):
        described = _of_classifier(model)
    elif isinstance(model, CharLanguageModel):
        described = _of_language_model(model)
    elif isinstance(model, Forecaster):
        described = _of_forecaster(model)
    elif isinstance(model, TextDecoder):
        described = of_text_decoder(model)
    elif isinstance(model, SequenceModel):
        described = _of_sequence_model(model)
    else:
        described = _of_keras_model(model)
    signatures = {}
    for name, (function, specs, values) in described.items():
        with scan_mode("portable"):
            traced = tf.function(function, autograph=False).get_concrete_function(
                **{spec.name: spec for spec in specs}
            )
        example = {
            spec.name: tf.constant(values[spec.name], spec.dtype) if values else _zeros(spec)
            for spec in specs
        }
        signatures[name] = Signature(traced, example)
    return signatures


def _zeros(spec: tf.TensorSpec) -> tf.Tensor:
    """One sequence, or one step, of zeros."""
    return tf.zeros([size or 1 for size in spec.shape], spec.dtype)


def _of_keras_model(model):
    # Keras knows the inputs of functional and sequential models, not those of others.
    inputs = getattr(model, "inputs", None)
    if not inputs:
        raise ValueError(
            f"The inputs of {type(model).__name__} {model.name!r} are not known. Use a "
            "functional model, a keras.Sequential or a kerasrnn.SequenceModel."
        )
    specs = [tf.TensorSpec([None, *x.shape[1:]], x.dtype, x.name) for x in inputs]
    sequential = isinstance(model, keras.Sequential)
    structure = specs[0] if sequential else model.input  # as the model is to be called
    names = [model.layers[-1].name] if sequential else model.output_names

    def predict(**given):
        flat = [given[spec.name] for spec in specs]
        outputs = model(tf.nest.pack_sequence_as(structure, flat), training=False)
        return outputs if isinstance(outputs, dict) else _name(tf.nest.flatten(outputs), names)

    return {"serving_default": (predict, specs, None)}


def _name(outputs, names):
    """Outputs by names; numbers are added where there is not one name for each."""
    if len(set(names)) != len(outputs):
        base = names if len(names) == len(outputs) else names[:1] * len(outputs)
        names = [f"{name}_{number}" for number, name in enumerate(base)]
    return dict(zip(names, outputs, strict=True))


def _of_sequence_model(model):
    inputs = tf.TensorSpec([None, None, *model.feature_shape], model.feature_dtype, "inputs")
    states = _StateNames(model)

    def predict(inputs):
        return {"outputs": model(inputs, training=False)}

    def window(inputs, **before):
        outputs, after = model(inputs, states.pack(before), return_states=True)
        return {"outputs": outputs, **states.name(after)}

    signatures = {"serving_default": (predict, [inputs], None)}
    if not any(cannot_carry(layer) for layer in model.sequence_layers):
        signatures["window"] = (window, [inputs, *states.specs], None)
    return signatures


def _of_forecaster(model):
    past = tf.TensorSpec([None, None, model.num_variables], tf.float32, "past")
    known = tf.TensorSpec([None, None, model.num_known], tf.float32, "known")

    def forecast(past, **known):
        return model.outputs_by_name(model({"inputs": past, **known}, training=False))

    specs = [past, known] if model.num_known else [past]
    example = {
        "past": np.zeros([1, 1, model.num_variables]),
        "known": np.zeros([1, 1 + model.horizon, model.num_known]),
    }
    return {"serving_default": (forecast, specs, example)}


def _of_classifier(model):
    two_labels = len(model.labels) == 2

    def classify_ids(ids):
        ids = pad(ids)
        # Layers of Keras cannot take an empty batch: one text, left out.
        num_texts = tf.shape(ids)[0]
        more = tf.cast(num_texts == 0, tf.int32)
        outputs = model(tf.pad(ids, [[0, more], [0, 0]]), training=False)[:num_texts]
        if two_labels:
            return {"probability": outputs[:, 0]}
        return {"probability": tf.reduce_max(outputs, axis=1), "probabilities": outputs}

    def classify_text(text):
        outputs = classify_ids(model.vocabulary.encode(text, model.max_length))
        if two_labels:
            label = tf.cast(outputs["probability"] >= DECISION_THRESHOLD, tf.int32)
        else:
            label = tf.argmax(outputs["probabilities"], axis=1, output_type=tf.int32)
        return {**outputs, "label": tf.gather(model.labels, label)}

    text = tf.TensorSpec([None], tf.string, "text")
    ids = tf.TensorSpec([None, None], tf.int32, "ids")
    words = " ".join(model.vocabulary.words[2:6])
    return {
        "serving_default": (classify_text, [text], {"text": [words]}),
        "ids": (classify_ids, [ids], {"ids": [[1, 0]]}),
    }


def _of_language_model(model):
    text = tf.TensorSpec([None], tf.string, "text")
    ids = tf.TensorSpec([None], tf.int32, "ids")
    states = _StateNames(model)
    integer = functools.partial(tf.TensorSpec, [], tf.int32)
    real = functools.partial(tf.TensorSpec, [], tf.float32)
    length, seed, position = integer("length"), integer("seed"), integer("position")
    temperature, top_k, top_p = real("temperature"), integer("top_k"), real("top_p")

    def generate(text, length, temperature, seed):
        with _required(length, temperature):
            ids, states = text_graph.read(model, text)
        choice = Choice(temperature, seed)
        written, _, _ = text_graph.write(model, ids, states, length, choice, filtered=False)
        return {"text": written}

    def step(ids, **before):
        logits, after = model.step(ids, states.pack(before))
        return {"logits": logits, **states.name(after)}

    def read(text):
        ids, after = text_graph.read(model, text)
        return {"ids": ids, **states.name(after)}

    def write(ids, length, temperature, top_k, top_p, seed, position, **before):
        choice = Choice(temperature, seed, top_k, top_p)
        with _required(length, temperature, top_k, top_p, position):
            ids = tf.identity(ids)
        # One loop: a smaller graph gives its first answer sooner.
        written, ids, after = text_graph.write(
            model, ids, states.pack(before), length, choice, position, num_loops=1
        )
        return {"text": written, "ids": ids, **states.name(after)}

    def score(text, ids, **before):
        outputs = text_graph.nats_of(model, text, ids, states.pack(before))
        names = ("nats", "num_characters", "num_unknown", "ids")
        return {**dict(zip(names, outputs[:4], strict=True)), **states.name(outputs[4])}

    known = model.vocabulary.characters[1]
    example = {
        **{spec.name: _zeros(spec) for spec in states.specs},
        "text": [known],
        "ids": [1],
        "length": 2 * BLOCK,
        "temperature": 1.0,
        "top_k": 0,
        "top_p": 1.0,
        "seed": 0,
        "position": 0,
    }
    choice = [length, temperature, top_k, top_p, seed, position]
    return {
        "serving_default": (generate, [text, length, temperature, seed], example),
        "step": (step, [ids, *states.specs], example),
        "read": (read, [text], example),
        "write": (write, [ids, *choice, *states.specs], example),
        "score": (score, [text, ids, *states.specs], example),
    }


class _StateNames:
    """The nested states of a model, by the names `state_0`, `state_1` and so on."""

    def __init__(self, model: SequenceModel):
        self.structure = model.initial_states(1)
        self.specs = [
            tf.TensorSpec([None, *state.shape[1:]], state.dtype, f"state_{number}")
            for number, state in enumerate(tf.nest.flatten(self.structure))
        ]

    def pack(self, named: dict[str, tf.Tensor]) -> list:
        flat = [named[spec.name] for spec in self.specs]
        return tf.nest.pack_sequence_as(self.structure, flat)

    def name(self, states: list) -> dict[str, tf.Tensor]:
        names = (spec.name for spec in self.specs)
        return dict(zip(names, tf.nest.flatten(states), strict=True))


def _required(length, temperature, top_k=0, top_p=1.0, position=0):
    rules = {
        "length must be 0 or more": (length, length >= 0),
        f"temperature must lie in [0, {HIGHEST_TEMPERATURE:g}]": (
            temperature,
            (temperature >= 0) & (temperature <= HIGHEST_TEMPERATURE),
        ),
        "top_k must be 0 or more": (top_k, top_k >= 0),
        "top_p must lie in (0, 1]": (top_p, (top_p > 0) & (top_p <= 1)),
        f"position must be 0 or more and a multiple of {BLOCK}": (
            position,
            (position >= 0) & (position // BLOCK * BLOCK == position),
        ),
    }
    return tf.control_dependencies(
        [
            tf.debugging.Assert(holds, [f"{rule}, got", value])
            for rule, (value, holds) in rules.items()
            if isinstance(value, tf.Tensor)
        ]
    )

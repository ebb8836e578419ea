"""A model, its metrics and its optimizer, built for the batches that come."""

from typing import Any

import keras
import tensorflow as tf

from kerasrnn.training.data import inputs_of
from kerasrnn.training.layer_checks import check_batch, check_layers
from kerasrnn.training.replicas import scope_of
from kerasrnn.training.step import TrainingStep
from kerasrnn.training.window import check_target_shape


def prepare(step: TrainingStep, batch: Any) -> None:
    """Builds the model of a step by a call on the smallest batch of this kind.

    Args:
        step: it learns whether there is an output for every time step.
        batch: `tf.TensorSpec`s of `(inputs, targets[, sample_weight])`.

    Raises:
        ValueError: if the model cannot be trained on such batches.
    """
    model, options = step.model, step.options
    check_batch(model.ordered_layers, batch)
    inputs, targets, _ = keras.utils.unpack_x_y_sample_weight(batch)
    if model.target_shape and targets is not None:
        check_target_shape(targets.shape, model.target_shape)
        targets = tf.TensorSpec([None, *model.target_shape], tf.float32)
    inputs, targets = tf.nest.map_structure(
        lambda spec: _smallest_example(spec, options.window is not None), (inputs, targets)
    )
    with scope_of(model.distribute_strategy):  # each replica gets variables of its own
        outputs = model(inputs)
        # A `LossScaleOptimizer` that is built again would go back to its first scale.
        if not step.optimizer.built:
            step.optimizer.build(model.trainable_variables)
        model.compute_metrics(inputs, targets, model.as_metrics_compare(outputs))
    model.reset_metrics()
    check_layers(model.ordered_layers, options)  # some make others when they are built
    time = inputs_of(inputs).shape[1:2]
    of_steps = len(outputs.shape) > 2 and outputs.shape[1:2] == time
    step.every_output = model.target_shape is not None or of_steps
    step.prepared = True


def _smallest_example(spec, windowed):
    """Zeros such as a batch holds, of one sequence."""
    # Two steps where the length is free: Keras warns of a softmax over a single one.
    example = tf.zeros([1, *(n or 2 for n in spec.shape[1:])], spec.dtype)
    return example[:, :1] if windowed and len(spec.shape) > 1 else example

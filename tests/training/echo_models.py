"""Models whose outputs tell what their cell received."""

import keras
import tensorflow as tf

import kerasrnn


class EchoCell(keras.layers.Layer):
    """Puts out its input and keeps it as its state: what it received can be read off."""

    def __init__(self, units=1, **kwargs):
        super().__init__(**kwargs)
        self.state_size = self.output_size = units

    def call(self, inputs, states):
        return inputs, [inputs]


class AddOne(keras.layers.Layer):
    def call(self, inputs):
        return inputs + 1


class NextId(keras.layers.Layer):
    """Scores of ids: the id after the one it is given has by far the highest."""

    def call(self, ids):
        following = tf.cast(ids[..., 0] + 1, tf.int32) % 20
        return 50 * tf.one_hot(following, 20)


class AsValue(keras.layers.Layer):
    def call(self, ids):
        return tf.cast(ids, tf.float32)[..., None]


def value_model(forcing):
    """Its output is its input plus one."""
    echo = kerasrnn.RNN(EchoCell(), return_sequences=True)
    model = kerasrnn.SequenceModel([echo, AddOne()])
    model.compile("sgd", "mse", teacher_forcing=forcing)
    return model


def id_model(forcing):
    """It predicts the id after the one it is given."""
    echo = kerasrnn.RNN(EchoCell(), return_sequences=True)
    model = kerasrnn.SequenceModel([AsValue(), echo, NextId()])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("sgd", loss, teacher_forcing=forcing)
    return model

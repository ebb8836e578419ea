"""Arrays, datasets and streams: the batch that is measured."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import kerasrnn
from tests.analysis.models import UNITS, compiled


@pytest.fixture
def model():
    return compiled(kerasrnn.VanillaRNN(UNITS), keras.layers.Dense(1))


class Batches(keras.utils.PyDataset):
    def __init__(self, *batches):
        super().__init__()
        self.batches = batches

    def __len__(self):
        return len(self.batches)

    def __getitem__(self, index):
        return self.batches[index]


def test_lists_of_numbers_are_a_batch(model, batch):
    x, y = batch
    found = kerasrnn.gradient_flow(model, x.tolist(), y.tolist()).layers[0]
    expected = kerasrnn.gradient_flow(model, x, y).layers[0]
    np.testing.assert_allclose(found.norms, expected.norms, rtol=1e-5)


def test_the_first_batch_of_a_dataset_is_measured(model, batch):
    x, y = batch
    expected = kerasrnn.gradient_flow(model, x[:2], y[:2])
    for data in (
        tf.data.Dataset.from_tensor_slices((x, y)).batch(2),
        Batches((x[:2], y[:2]), (x[2:], y[2:])),
    ):
        found = kerasrnn.gradient_flow(model, data)
        assert found.loss == pytest.approx(expected.loss)
        np.testing.assert_allclose(found.layers[0].norms, expected.layers[0].norms, rtol=1e-5)


def test_weights_of_a_dataset_count(model, batch):
    x, y = batch
    weights = np.array([0.0, 3.0, 0.0], "float32")  # of three: the mean of one alone
    data = tf.data.Dataset.from_tensors((x, y, weights))
    found = kerasrnn.gradient_flow(model, data).layers[0]
    expected = kerasrnn.gradient_flow(model, x[1:2], y[1:2]).layers[0]
    np.testing.assert_allclose(found.norms, expected.norms, rtol=1e-4)
    np.testing.assert_allclose(found.remaining, expected.remaining, rtol=1e-4)


@pytest.mark.parametrize("window", [5, kerasrnn.RandomWindow(5, standard_deviation=0.0)])
def test_the_first_window_of_a_stream_is_measured(rng, window):
    ids = rng.integers(0, 3, 41)
    model = kerasrnn.SequenceModel(
        [
            keras.layers.Embedding(3, 2),
            kerasrnn.VanillaRNN(UNITS, return_sequences=True),
            keras.layers.Dense(3),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("sgd", loss, window=window)
    found = kerasrnn.gradient_flow(model, kerasrnn.Stream.from_tokens(ids, batch_size=2))
    time = len(found.layers[0].norms)
    assert time == pytest.approx(5, abs=2)
    inputs = np.stack([ids[:time], ids[20 : 20 + time]])
    targets = np.stack([ids[1 : time + 1], ids[21 : 21 + time]])
    expected = kerasrnn.gradient_flow(model, inputs, targets)
    assert found.loss == pytest.approx(expected.loss, rel=1e-5)
    np.testing.assert_allclose(found.layers[0].norms, expected.layers[0].norms, rtol=1e-4)


def test_what_is_no_batch_is_refused(model, batch):
    x, y = batch
    data = tf.data.Dataset.from_tensors((x, y))
    stream = kerasrnn.Stream(x, x, batch_size=2)
    for inputs, targets, message in (
        (x, None, "A batch is an array of inputs.*type ndarray and targets=None"),
        (data, y, "A tf.data.Dataset holds its own targets.*got targets of type ndarray"),
        (stream, x, "A Stream holds its own targets"),
        (stream, None, "the model was compiled without one"),
        (data.take(0), None, "The tf.data.Dataset is empty"),
        (Batches(), None, "The Batches is empty"),
        (data.map(lambda x, y: x), None, "must give .inputs, targets.*, got a "),
        (tf.data.Dataset.from_tensors((x, y, y, y)), None, "got 4 parts"),
        (tf.data.Dataset.from_tensors((x, y[:2])), None, "equally many sequences"),
        (x, object(), "A batch is an array.*got a object"),
    ):
        with pytest.raises(ValueError, match=message):
            kerasrnn.gradient_flow(model, inputs, targets)

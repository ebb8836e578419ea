"""A batch in parts gives the gradient of the whole batch."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.training.models import make_model


@pytest.mark.slow
def test_gradients_in_parts_are_those_of_the_whole_batch(stream):
    whole, *others = (
        make_model(window=6, global_clipnorm=0.2, optimizer=keras.optimizers.Adam(), **parts)
        for parts in ({}, {"parallel_parts": 4}, {"parallel_parts": 2})
    )
    history = whole.fit(stream, epochs=2, verbose=0).history
    for model in others:
        found = model.fit(stream, epochs=2, verbose=0).history
        for name, values in history.items():
            np.testing.assert_allclose(found[name], values, rtol=1e-4)
        for a, b in zip(model.get_weights(), whole.get_weights(), strict=True):
            np.testing.assert_allclose(a, b, atol=2e-4)


def test_parts_that_differ_are_refused(ids, stream):
    model = make_model(window=6, parallel_parts=3)
    with pytest.raises(ValueError, match="batch of 4 sequences cannot be split into"):
        model.fit(stream, verbose=0)
    dataset = tf.data.Dataset.from_tensor_slices((ids[:, :-1], ids[:, 1:])).batch(2)
    model = make_model(parallel_parts=3)
    with pytest.raises(ValueError, match="into 3 equal parts"):
        model.fit(dataset, verbose=0)

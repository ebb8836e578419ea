"""Warm-up requests for TensorFlow Serving."""

import pytest
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2


@pytest.mark.parametrize("kind", ["classifier", "classifier_of_three", "language_model"])
def test_there_is_a_request_for_each_signature(request, kind):
    exported = request.getfixturevalue(f"exported_{kind}")
    loaded = request.getfixturevalue(f"loaded_{kind}")
    file = exported / "assets.extra" / "tf_serving_warmup_requests"
    asked = set()
    for record in tf.data.TFRecordDataset(str(file)).as_numpy_iterator():
        log = prediction_log_pb2.PredictionLog.FromString(record)
        asking = log.predict_log.request
        inputs = {name: tf.make_ndarray(value) for name, value in asking.inputs.items()}
        signature = loaded.signatures[asking.model_spec.signature_name]
        outputs = signature(**{name: tf.constant(value) for name, value in inputs.items()})
        assert all(len(value) == 1 for value in outputs.values())
        asked.add(asking.model_spec.signature_name)
    assert asked == set(loaded.signatures)

"""Warm-up requests for TensorFlow Serving, which it runs before it serves a model."""

from pathlib import Path

import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

from kerasrnn.serving.signatures import Signature


def write_warm_up(path: str | Path, signatures: dict[str, Signature]) -> None:
    """Writes a request for each signature, with its example as inputs.

    Args:
        path: `assets.extra/tf_serving_warmup_requests` of an exported model: TFRecords of
            the protocol buffer `PredictionLog`.
        signatures: those of the model, by their names.
    """
    with tf.io.TFRecordWriter(str(path)) as writer:
        for name, signature in signatures.items():
            request = predict_pb2.PredictRequest()
            request.model_spec.signature_name = name
            for key, tensor in signature.example.items():
                request.inputs[key].CopyFrom(tf.make_tensor_proto(tensor.numpy()))
            log = prediction_log_pb2.PredictionLog(
                predict_log=prediction_log_pb2.PredictLog(request=request)
            )
            writer.write(log.SerializeToString())

"""Exported models in other formats, for runtimes that know no SavedModel."""

import errno
import importlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tensorflow as tf

from kerasrnn.checks import check_one_of, check_path
from kerasrnn.files import writing

SIGNATURES = ("ids", "step")
"""Those without texts, which few runtimes can read."""
ONNX_OPSET = 17
_TOLERANCE = 1e-4


def convert(exported: str | Path, output: str | Path, format: str = "onnx") -> tuple[Path, str]:
    """Writes the signature `ids` or `step` of an exported model as ONNX or LiteRT.

    Batch and time stay free. The ids are those of the lines of the model's
    `assets/vocabulary.txt`, from 0. In ONNX, where all names must differ, the new
    states of `step` are `new_state_0` and so on. Before it is written, the
    converted model is run by ONNX Runtime or LiteRT and compared with the SavedModel.

    Args:
        exported: what `kerasrnn.export` has written, a version's folder.
        output: the file to write.
        format: `"onnx"`, which needs the extra `onnx`, or `"litert"`, which needs
            the extra `litert`. Default: `"onnx"`.

    Returns:
        The file written, and the name of the signature in it.

    Raises:
        ValueError: if there is no such format, if the model has none of these
            signatures, or if the converter cannot convert it (LiteRT cannot hold
            the loops of Keras' LSTM and GRU, but their steps).
        ImportError: if the converter is not installed; it says what to install.
        OSError: if `exported` cannot be read, or `output` cannot be written.
    """
    check_one_of("format", format, FORMATS)
    check_path("exported", exported)
    check_path("output", output)
    loaded = tf.saved_model.load(str(exported))
    name = next((name for name in SIGNATURES if name in loaded.signatures), None)
    if name is None:
        raise ValueError(
            f"{exported}: none of its signatures can be converted: it has "
            f"{', '.join(loaded.signatures)}, and one of {', '.join(SIGNATURES)} is needed."
        )
    signature = loaded.signatures[name]
    try:
        content, answer = FORMATS[format](signature, name)
        for seed, sizes in enumerate(((1, 1), (3, 17))):
            _compare(signature, answer, _draw(signature, sizes, seed), format)
    except (ImportError, ValueError):
        raise
    except Exception as error:  # each converter and runtime has classes of its own
        raise ValueError(
            f"{exported}: the format {format} cannot hold this model: {_first_line(error)}"
        ) from error
    output = Path(output)
    if output.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(output))
    with writing(output) as hidden:
        hidden.write_bytes(content)
    return output, name


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)[:300]


def _inputs(signature) -> dict[str, tf.TensorSpec]:
    return signature.structured_input_signature[1]


def _to_onnx(signature, name):
    tf2onnx, onnxruntime = _import("onnx", "tf2onnx", "onnxruntime")
    specs = [tf.TensorSpec(x.shape, x.dtype, n) for n, x in _inputs(signature).items()]

    def call(*inputs):
        outputs = signature(**{x.name: value for x, value in zip(specs, inputs, strict=True)})
        return {_new(key, signature): value for key, value in outputs.items()}

    function = tf.function(call, autograph=False)
    model, _ = tf2onnx.convert.from_function(function, specs, opset=ONNX_OPSET)
    content = model.SerializeToString()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]

    def answer(inputs):
        return dict(zip(names, session.run(names, inputs), strict=True))

    return content, answer


def _new(key, signature):
    return f"new_{key}" if key in _inputs(signature) else key


def _to_litert(signature, name):
    (interpreters,) = _import("litert", "ai_edge_litert.interpreter")
    # The signature alone: tables of texts are beyond LiteRT.
    module = tf.Module()
    module.loaded = signature.variables
    specs = {n: tf.TensorSpec(x.shape, x.dtype, n) for n, x in _inputs(signature).items()}
    function = tf.function(lambda **inputs: signature(**inputs), autograph=False)
    with tempfile.TemporaryDirectory() as folder:
        tf.saved_model.save(module, folder, {name: function.get_concrete_function(**specs)})
        converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=[name])
        try:
            content = converter.convert()
        except Exception as error:  # of a private class
            if "tensor list" not in str(error):
                raise
            raise ValueError(
                "LiteRT cannot hold the loop over time of this model's recurrent layers. "
                "Use the format onnx, or vanilla cells in float32."
            ) from error
    plain = interpreters.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter = interpreters.Interpreter(
        model_content=content, experimental_op_resolver_type=plain
    )
    runner = interpreter.get_signature_runner(name)
    return content, lambda inputs: runner(**inputs)


FORMATS: dict[str, Callable] = {"onnx": _to_onnx, "litert": _to_litert}


def _import(extra, *names):
    try:
        return [importlib.import_module(name) for name in names]
    except ImportError as error:
        raise ImportError(
            f"{error.name} is not installed. Install what this format needs: "
            f"python -m pip install 'kerasrnn[{extra}]'"
        ) from error


def _draw(signature, sizes, seed):
    """Inputs of a batch and a time of these sizes."""
    rng = np.random.default_rng(seed)
    inputs = {}
    for key, spec in _inputs(signature).items():
        free = iter(sizes)
        shape = [next(free) if size is None else size for size in spec.shape]
        values = rng.integers(0, 2, shape) if spec.dtype.is_integer else rng.normal(size=shape)
        inputs[key] = values.astype(spec.dtype.as_numpy_dtype)
    return inputs


def _compare(signature, answer, inputs, format):
    expected = signature(**{key: tf.constant(value) for key, value in inputs.items()})
    answers = answer(inputs)
    for key, value in expected.items():
        found = answers[key if key in answers else _new(key, signature)]
        if not np.allclose(found, value, atol=_TOLERANCE, rtol=_TOLERANCE):
            difference = np.abs(found - value).max()
            raise ValueError(
                f"the model in the format {format} answers {key} otherwise than the "
                f"SavedModel, by {difference:.2g}. Use the SavedModel."
            )

"""Exported models in other formats, for runtimes that cannot read a SavedModel."""

import errno
import importlib
import itertools
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tensorflow as tf

from kerasrnn.checks import check_one_of, check_path, check_text
from kerasrnn.files import writing

PREFERRED = ("ids", "step", "serving_default")
"""If no signature is named, the first of these that can be converted is converted."""
COMPARED_SIZES = ((1, 1), (3, 17))
"""Batch size and time of the inputs for comparing both models, where these are free."""
ONNX_OPSET = 17
_TOLERANCE = 1e-4


def convert(
    exported: str | Path,
    output: str | Path,
    format: str = "onnx",
    signature: str | None = None,
) -> tuple[Path, str]:
    """Writes one signature of an exported model as ONNX or LiteRT.

    The signature must take and return numbers, not texts: `ids` of a `TextClassifier`, `step`
    of a `CharLanguageModel`, `serving_default` and `window` of any other `SequenceModel`,
    `serving_default` of a functional or sequential Keras model. Sizes that are free in the
    signature, such as batch and time, stay free. The ids of the first two are the line
    numbers of the model's `assets/vocabulary.txt`, from 0.

    In ONNX all names must differ: an output with the name of an input becomes
    `new_<name>`, for example `new_state_0`. Before the file is written, ONNX Runtime or
    LiteRT runs the converted model, and its outputs are compared with the SavedModel's.

    Args:
        exported: the folder of a version that `kerasrnn.export` wrote.
        output: the file to write.
        format: `"onnx"`, which needs the extra `onnx`, or `"litert"`, which needs
            the extra `litert`. Default: `"onnx"`.
        signature: the name of the signature. Default: `None`: the first of `ids`, `step` and
            `serving_default` that has only numbers, or else any other such signature.

    Returns:
        The file written, and the name of the signature in it.

    Raises:
        ValueError: if there is no such format, if the model has no such signature, if the
            signature takes or returns texts, or if the converter cannot convert it (LiteRT
            cannot convert the loops of `keras.layers.LSTM` and `keras.layers.GRU`, but those
            of `kerasrnn.LSTM` and `kerasrnn.GRU`, and any `step`).
        ImportError: if the converter is not installed; the message says what to install.
        OSError: if `exported` cannot be read, or `output` cannot be written.
    """
    check_one_of("format", format, FORMATS)
    check_path("exported", exported)
    check_path("output", output)
    if signature is not None:
        check_text("signature", signature)
    loaded = tf.saved_model.load(str(exported))
    name = _choose(exported, loaded.signatures, signature)
    chosen = loaded.signatures[name]
    try:
        content, answer = FORMATS[format](chosen, name)
        for seed, sizes in enumerate(COMPARED_SIZES):
            _compare(chosen, answer, _draw(chosen, sizes, seed), format)
    except (ImportError, ValueError):
        raise
    except Exception as error:  # each converter and runtime has classes of its own
        raise ValueError(
            f"{exported}: the format {format} cannot hold the signature {name}: "
            f"{_first_line(error)}"
        ) from error
    output = Path(output)
    if output.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(output))
    with writing(output) as hidden:
        hidden.write_bytes(content)
    return output, name


def _choose(exported, signatures, name: str | None) -> str:
    possible = [key for key in signatures if _holds_numbers(signatures[key])]
    if not possible:
        raise ValueError(
            f"{exported}: no signature can be converted, since all of them take or return "
            f"texts: {', '.join(signatures)}. Export a model with a signature of numbers."
        )
    if name is None:
        return next((key for key in PREFERRED if key in possible), possible[0])
    if name not in possible:
        raise ValueError(
            f"signature must be one of those that hold numbers only, {', '.join(possible)}, "
            f"got signature={name!r}."
        )
    return name


def _holds_numbers(signature) -> bool:
    specs = (*_inputs(signature).values(), *signature.structured_outputs.values())
    types = [spec.dtype for spec in specs]
    return all(dtype.is_floating or dtype.is_integer or dtype.is_bool for dtype in types)


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)[:300]


def _inputs(signature) -> dict[str, tf.TensorSpec]:
    return signature.structured_input_signature[1]


def _to_onnx(signature, name):
    tf2onnx, onnxruntime = _import("onnx", "tf2onnx", "onnxruntime")
    specs = [tf.TensorSpec(x.shape, x.dtype, n) for n, x in _inputs(signature).items()]
    onnx_names = _onnx_names(_inputs(signature), signature.structured_outputs)

    def call(*inputs):
        outputs = signature(**{x.name: value for x, value in zip(specs, inputs, strict=True)})
        return {onnx_names[key]: value for key, value in outputs.items()}

    function = tf.function(call, autograph=False)
    model, _ = tf2onnx.convert.from_function(function, specs, opset=ONNX_OPSET)
    content = model.SerializeToString()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])

    def answer(inputs):
        values = session.run(list(onnx_names.values()), inputs)
        return dict(zip(onnx_names, values, strict=True))

    return content, answer


def _onnx_names(inputs, outputs) -> dict[str, str]:
    """The name of each output in ONNX: all names differ, including those of inputs."""
    names, taken = {}, {*inputs, *outputs}
    for key in outputs:
        name = f"new_{key}" if key in inputs else key
        while name != key and name in taken:
            name = f"new_{name}"
        names[key] = name
        taken.add(name)
    return names


def _to_litert(signature, name):
    (interpreters,) = _import("litert", "ai_edge_litert.interpreter")
    # The signature alone: LiteRT cannot hold tables of texts.
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
                "Use the format onnx, or kerasrnn's own layers in float32."
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
    """Inputs whose free sizes are these, batch and time; all further ones are as time."""
    rng = np.random.default_rng(seed)
    inputs = {}
    for key, spec in _inputs(signature).items():
        free = itertools.chain(sizes, itertools.repeat(sizes[-1]))
        shape = [next(free) if size is None else size for size in spec.shape]
        floating = spec.dtype.is_floating
        values = rng.normal(size=shape) if floating else rng.integers(0, 2, shape)
        inputs[key] = np.asarray(values).astype(spec.dtype.as_numpy_dtype)
    return inputs


def _compare(signature, answer, inputs, format):
    expected = signature(**{key: tf.constant(value) for key, value in inputs.items()})
    answers = answer(inputs)
    for key, value in expected.items():
        found, right = (np.asarray(x, np.float64) for x in (answers[key], value))
        if found.shape != right.shape:
            raise ValueError(
                f"the output {key} has the shape {found.shape} in the format {format}, but "
                f"{right.shape} in the SavedModel. Use the SavedModel."
            )
        if not np.allclose(found, right, atol=_TOLERANCE, rtol=_TOLERANCE, equal_nan=True):
            raise ValueError(
                f"the output {key} in the format {format} differs from the SavedModel's by "
                f"{np.nanmax(np.abs(found - right)):.2g}. Use the SavedModel."
            )

"""Programs that never saw this package serve its models, with the numbers of Python's."""

import functools
import importlib.util
import shutil
from pathlib import Path

import numpy as np
import pytest

from kerasrnn.serving.conversion import convert
from tests.clients.conftest import (
    BATCHES,
    CLIENTS,
    LENGTH,
    SEED,
    TEMPERATURE,
    shortened,
)

pytestmark = pytest.mark.slow


def needs(extra, *names):
    """Skips a test where a client's package is not installed."""
    missing = [name for name in names if importlib.util.find_spec(name) is None]
    reason = f"{', '.join(missing)} is not installed: pip install 'kerasrnn[{extra}]'"
    return pytest.mark.skipif(bool(missing), reason=reason)


def assert_classified(printed, probabilities):
    """Compares lines of labels and probabilities, or of these alone."""
    rows = [line.split("\t") for line in printed.split("\n")[:-1]]
    np.testing.assert_allclose([float(row[-1]) for row in rows], probabilities, atol=2e-6)
    if len(rows[0]) > 1:
        labels = ["positive" if p >= 0.5 else "negative" for p in probabilities]
        assert [row[0] for row in rows] == labels


def joined(prompts, written):
    return "".join(f"{a}{b}\n" for a, b in zip(prompts, written, strict=True))


def test_answers_differ_and_are_of_both_labels(probabilities):
    if len(probabilities) > 1:
        assert min(probabilities) < 0.45 < 0.55 < max(probabilities)


def test_this_package_cannot_be_imported_by_a_client(ask, tmp_path):
    (tmp_path / "client.py").write_text("import kerasrnn\n")
    with pytest.raises(AssertionError, match="must not be needed"):
        ask(tmp_path / "client.py")


@pytest.fixture(scope="module")
def in_tensorflow(ask_several, sentiment, chargen, transduce):
    """What serve_tensorflow.py prints of each model and batch."""
    numbers = (LENGTH, TEMPERATURE, SEED)
    questions = {}
    for size, texts in BATCHES.items():
        questions["sentiment", size] = ["sentiment", sentiment], texts
        questions["chargen", size] = ["chargen", chargen, *numbers], shortened(texts)
        questions["transduce", size] = ["transduce", transduce], shortened(texts)
    return ask_several("serve_tensorflow.py", questions)


def test_tensorflow_classifies(in_tensorflow, size, probabilities):
    assert_classified(in_tensorflow["sentiment", size], probabilities)


def test_tensorflow_writes(in_tensorflow, size, prompts, continuations):
    assert in_tensorflow["chargen", size] == joined(prompts, continuations)


def test_tensorflow_transduces(in_tensorflow, size, transduced):
    assert in_tensorflow["transduce", size] == transduced
    assert size == 1 or len(set(transduced.split("\n"))) > 3


@pytest.fixture(scope="module")
def serve_in_c(ask, tmp_path_factory):
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    package = importlib.util.find_spec("tensorflow").submodule_search_locations[0]
    program = tmp_path_factory.mktemp("c") / "serve"
    libraries = ("tensorflow_cc", "tensorflow_framework")
    command = ["gcc", "-Wall", "-Wextra", "-Werror", "-o", program, CLIENTS / "serve.c"]
    command += ["-I", Path(package) / "include", "-L", package, f"-Wl,-rpath,{package}"]
    command += [f"-l:lib{name}.so.2" for name in libraries]
    ask(*command)
    return program


@pytest.mark.parametrize("size", [100], indirect=True)
def test_c_classifies(ask, serve_in_c, sentiment, texts, probabilities):
    assert_classified(ask(serve_in_c, "sentiment", sentiment, lines=texts), probabilities)


@pytest.mark.parametrize("size", [100], indirect=True)
def test_c_writes(ask, serve_in_c, chargen, prompts, continuations):
    printed = ask(serve_in_c, "chargen", chargen, LENGTH, TEMPERATURE, SEED, lines=prompts)
    assert printed == joined(prompts, continuations)


@pytest.mark.parametrize("size", [100], indirect=True)
def test_c_transduces(ask, serve_in_c, transduce, prompts, transduced):
    assert ask(serve_in_c, "transduce", transduce, lines=prompts) == transduced


@pytest.fixture(scope="module")
def in_openvino(ask_several, sentiment):
    """What serve_openvino.py prints of each batch."""
    questions = {size: ([sentiment], texts) for size, texts in BATCHES.items()}
    return ask_several("serve_openvino.py", questions)


@needs("openvino", "openvino", "openvino_tokenizers")
def test_openvino_classifies(in_openvino, size, probabilities):
    assert_classified(in_openvino[size], probabilities)


@pytest.fixture(scope="module")
def converted(tmp_path_factory, sentiment, chargen, transduce):
    """Converts all models into a format, once."""
    folder = tmp_path_factory.mktemp("converted")

    @functools.cache
    def convert_to(format):
        ending = "tflite" if format == "litert" else format
        models = {"sentiment": sentiment, "chargen": chargen, "transduce": transduce}
        return [
            convert(source, folder / f"{app}.{ending}", format)[0]
            for app, source in models.items()
        ]

    return convert_to


@pytest.fixture(scope="module")
def in_runtime(ask_several, converted, sentiment, chargen, transduce):
    """What serve_converted.py prints of each model and batch, in a format and a runtime."""

    @functools.cache
    def printed(format, runtime):
        classifier, language_model, transducer = converted(format)
        questions = {}
        for size, texts in BATCHES.items():
            arguments = ["chargen", language_model, chargen, LENGTH]
            questions["chargen", size] = arguments, shortened(texts)
            if runtime != "openvino":  # it does not read the classifier's loops in ONNX
                questions["sentiment", size] = ["sentiment", classifier, sentiment], texts
                arguments = ["transduce", transducer, transduce]
                questions["transduce", size] = arguments, shortened(texts)
        return ask_several("serve_converted.py", questions, RUNTIME=runtime)

    return printed


ONNXRUNTIME = needs("onnx", "tf2onnx", "onnxruntime")
IN_ONNXRUNTIME = pytest.param("onnx", "onnxruntime", marks=ONNXRUNTIME)
IN_OPENVINO = pytest.param(
    "onnx", "openvino", marks=[ONNXRUNTIME, needs("openvino", "openvino")]
)
IN_LITERT = pytest.param("litert", "litert", marks=needs("litert", "ai_edge_litert"))


@pytest.mark.parametrize(("format", "runtime"), [IN_ONNXRUNTIME, IN_LITERT])
def test_converted_models_classify(in_runtime, size, probabilities, format, runtime):
    assert_classified(in_runtime(format, runtime)["sentiment", size], probabilities)


@pytest.mark.parametrize(("format", "runtime"), [IN_ONNXRUNTIME, IN_OPENVINO, IN_LITERT])
def test_converted_models_write(in_runtime, size, prompts, likeliest, format, runtime):
    assert in_runtime(format, runtime)["chargen", size] == joined(prompts, likeliest)


@pytest.mark.parametrize(("format", "runtime"), [IN_ONNXRUNTIME, IN_LITERT])
def test_converted_models_transduce(in_runtime, size, transduced, format, runtime):
    assert in_runtime(format, runtime)["transduce", size] == transduced

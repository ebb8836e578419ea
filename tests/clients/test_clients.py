"""Programs that never saw this package serve its models, with the numbers of Python's."""

import importlib.util
import shutil
from pathlib import Path

import numpy as np
import pytest

from kerasrnn.serving.conversion import convert
from tests.clients.conftest import CLIENTS, LENGTH, SEED, TEMPERATURE

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


def test_tensorflow_classifies(ask, sentiment, texts, probabilities):
    printed = ask("serve_tensorflow.py", "sentiment", sentiment, lines=texts)
    assert_classified(printed, probabilities)


def test_tensorflow_writes(ask, chargen, prompts, continuations):
    numbers = (LENGTH, TEMPERATURE, SEED)
    printed = ask("serve_tensorflow.py", "chargen", chargen, *numbers, lines=prompts)
    assert printed == joined(prompts, continuations)


def run_saved_model_cli(ask, folder, inputs, tmp_path):
    for name, values in inputs.items():
        np.save(tmp_path / f"{name}.npy", values)
    given = ";".join(f"{name}={tmp_path / name}.npy" for name in inputs)
    command = ["saved_model_cli", "run", "--dir", folder, "--tag_set", "serve"]
    command += ["--signature_def", "serving_default", "--inputs", given]
    ask(*command, "--outdir", tmp_path, "--overwrite")
    return lambda name: np.load(tmp_path / f"{name}.npy", allow_pickle=True)


@pytest.mark.parametrize("texts", [100], indirect=True)
def test_saved_model_cli_classifies(ask, sentiment, texts, probabilities, tmp_path):
    given = {"text": np.array([text.encode() for text in texts])}
    read = run_saved_model_cli(ask, sentiment, given, tmp_path)
    np.testing.assert_allclose(read("probability"), probabilities, atol=2e-6)
    assert (read("label") == b"positive").tolist() == (probabilities >= 0.5).tolist()


@pytest.mark.parametrize("texts", [100], indirect=True)
def test_saved_model_cli_writes(ask, chargen, prompts, continuations, tmp_path):
    given = {
        "text": np.array([text.encode() for text in prompts]),
        "length": np.int32(LENGTH),
        "temperature": np.float32(TEMPERATURE),
        "seed": np.int32(SEED),
    }
    read = run_saved_model_cli(ask, chargen, given, tmp_path)
    assert [text.decode() for text in read("text")] == continuations


@pytest.fixture(scope="module")
def c_program(tmp_path_factory):
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    package = importlib.util.find_spec("tensorflow").submodule_search_locations[0]
    program = tmp_path_factory.mktemp("c") / "serve"
    libraries = ("tensorflow_cc", "tensorflow_framework")
    command = ["gcc", "-Wall", "-Wextra", "-Werror", "-o", program, CLIENTS / "serve.c"]
    command += ["-I", Path(package) / "include", "-L", package, f"-Wl,-rpath,{package}"]
    command += [f"-l:lib{name}.so.2" for name in libraries]
    return program, command


@pytest.fixture(scope="module")
def serve_in_c(ask, c_program):
    program, command = c_program
    ask(*command)
    return program


def test_c_classifies(ask, serve_in_c, sentiment, texts, probabilities):
    assert_classified(ask(serve_in_c, "sentiment", sentiment, lines=texts), probabilities)


def test_c_writes(ask, serve_in_c, chargen, prompts, continuations):
    printed = ask(serve_in_c, "chargen", chargen, LENGTH, TEMPERATURE, SEED, lines=prompts)
    assert printed == joined(prompts, continuations)


@needs("openvino", "openvino", "openvino_tokenizers")
def test_openvino_classifies(ask, sentiment, texts, probabilities):
    assert_classified(ask("serve_openvino.py", sentiment, lines=texts), probabilities)


@pytest.fixture(scope="module")
def converted(tmp_path_factory, sentiment, chargen):
    """Converts a model, once."""
    folder, done = tmp_path_factory.mktemp("converted"), {}

    def get(app, format):
        if (app, format) not in done:
            source = sentiment if app == "sentiment" else chargen
            ending = "tflite" if format == "litert" else format
            done[app, format], _ = convert(source, folder / f"{app}.{ending}", format)
        return done[app, format]

    return get


ONNXRUNTIME = needs("onnx", "tf2onnx", "onnxruntime")
LITERT = needs("litert", "ai_edge_litert")


@pytest.mark.parametrize(
    "format", [pytest.param("onnx", marks=ONNXRUNTIME), pytest.param("litert", marks=LITERT)]
)
def test_converted_models_classify(ask, converted, sentiment, texts, probabilities, format):
    command = ["serve_converted.py", "sentiment", converted("sentiment", format), sentiment]
    assert_classified(ask(*command, lines=texts), probabilities)


@pytest.mark.parametrize(
    ("format", "runtime"),
    [
        pytest.param("onnx", "onnxruntime", marks=ONNXRUNTIME),
        pytest.param("onnx", "openvino", marks=[ONNXRUNTIME, needs("openvino", "openvino")]),
        pytest.param("litert", "litert", marks=LITERT),
    ],
)
def test_converted_models_write(ask, converted, chargen, prompts, likeliest, format, runtime):
    file = converted("chargen", format)
    command = ["serve_converted.py", "chargen", file, chargen, LENGTH]
    assert ask(*command, lines=prompts, RUNTIME=runtime) == joined(prompts, likeliest)

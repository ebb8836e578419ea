"""How scans run: one mode, read in one place."""

import pytest
import tensorflow as tf

import kerasrnn
from kerasrnn.layers import compilation
from kerasrnn.layers.compilation import Execution
from tests.plain_ops import assert_plain_graph


@pytest.mark.parametrize(
    ("mode", "training", "eager", "in_graph"),
    [
        ("auto", True, Execution.COMPILED, Execution.COMPILED),
        ("auto", False, Execution.TRACED, Execution.IN_PLACE),
        ("compiled", True, Execution.COMPILED, Execution.COMPILED),
        ("compiled", False, Execution.COMPILED, Execution.COMPILED),
        ("portable", True, Execution.PORTABLE, Execution.PORTABLE),
        ("portable", False, Execution.PORTABLE, Execution.PORTABLE),
    ],
)
def test_the_mode_decides_how_scans_run(mode, training, eager, in_graph):
    found = []
    with compilation.scan_mode(mode):
        assert compilation.choose_execution(training) is eager
        tf.function(lambda: found.append(compilation.choose_execution(training)))()
    assert found == [in_graph]


def test_a_mode_ends_with_its_context():
    with pytest.raises(RuntimeError), compilation.scan_mode("compiled"):
        raise RuntimeError
    assert compilation.choose_execution(False) is Execution.TRACED


def test_an_unknown_mode_is_refused():
    with (
        pytest.raises(ValueError, match="mode must be one of auto, compiled, portable"),
        compilation.scan_mode("fast"),
    ):
        pass


def ops_of(layer, mode, training):
    with compilation.scan_mode(mode):
        traced = tf.function(lambda x: layer(x, training=training)).get_concrete_function(
            tf.TensorSpec([None, None, 3])
        )
    return traced.graph.as_graph_def()


@pytest.mark.parametrize("training", [False, True])
def test_portable_graphs_hold_plain_ops_only(training):
    layer = kerasrnn.VanillaRNN(4, leak_rate=0.5)
    layer.build([None, None, 3])
    graph = ops_of(layer, "portable", training)
    assert_plain_graph(graph)
    assert "CustomGradient" not in str(graph)


def test_graphs_of_inference_are_compiled_where_that_is_asked_for():
    layer = kerasrnn.VanillaRNN(4)
    layer.build([None, None, 3])
    compiled = {
        mode: any(
            function.attr["_XlaMustCompile"].b
            for function in ops_of(layer, mode, False).library.function
        )
        for mode in compilation.MODES
    }
    assert compiled == {"auto": False, "compiled": True, "portable": False}

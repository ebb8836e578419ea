"""What a decoder looks at, as numbers and as a picture."""

import numpy as np
import pytest

import kerasrnn
from tests.small_models import make_seq2seq, make_sequence_decoder


@pytest.fixture(scope="module")
def model():
    return make_seq2seq(cell="vanilla")


@pytest.fixture(scope="module")
def without():
    return make_seq2seq(cell="vanilla", attention=None)


def test_weights_belong_to_tokens(model):
    found = kerasrnn.attention_weights(model, "ab?é", "no maybe")
    assert found.source_tokens == ("a", "b", "?", "é")
    assert found.target_tokens == ("no", "maybe", "[END]")
    assert found.weights.shape == (3, 4)
    assert (found.weights > 0).all()
    np.testing.assert_allclose(found.weights.sum(1), 1, rtol=1e-6)


def test_they_are_the_weights_of_the_call(model):
    found = kerasrnn.attention_weights(model, "ab", "yes")
    x = {"source": np.array([[4, 5, 0]]), "inputs": np.array([[2, 5]])}
    _, weights = model(x, return_weights=True)
    np.testing.assert_allclose(weights[0, :, :2], found.weights, atol=1e-6)
    assert not np.any(weights[0, :, 2])


def test_without_a_target_it_is_what_the_model_writes(model):
    written = model.generate("abc")
    found = kerasrnn.attention_weights(model, "abc")
    assert " ".join(found.target_tokens[:-1]) == written
    expected = kerasrnn.attention_weights(model, "abc", written)
    np.testing.assert_array_equal(found.weights, expected.weights)


def test_one_token_and_too_many(model):
    one = kerasrnn.attention_weights(model, "a", "")
    np.testing.assert_array_equal(one.weights, [[1.0]])
    assert one.target_tokens == ("[END]",)
    many = kerasrnn.attention_weights(model, "abcabcabc", "no")
    assert many.source_tokens == tuple("abcabc")
    assert many.weights.shape == (2, 6)


@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        ("", None, "source must have a token, got source=''"),
        (["a"], None, "source must be a str"),
        ("a", 3, "target must be a str"),
    ],
)
def test_texts_are_checked(model, source, target, message):
    with pytest.raises(ValueError, match=message):
        kerasrnn.attention_weights(model, source, target)


def test_a_model_without_attention_is_refused(without):
    for other in (without, make_sequence_decoder(), None):
        with pytest.raises(ValueError, match="must be a kerasrnn.Seq2Seq with attention"):
            kerasrnn.attention_weights(other, "a")


def test_a_heat_map_has_the_tokens_at_its_sides(model, tmp_path):
    pytest.importorskip("matplotlib")
    found = kerasrnn.attention_weights(model, "ab", "no yes")
    figure = found.plot(tmp_path / "weights.png")
    assert (tmp_path / "weights.png").read_bytes().startswith(b"\x89PNG")
    (axes,) = figure.axes
    assert [label.get_text() for label in axes.get_xticklabels()] == ["a", "b"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["no", "yes", "[END]"]
    (image,) = axes.images
    np.testing.assert_array_equal(image.get_array(), found.weights)


def test_dollars_are_no_formulas(tmp_path):
    pytest.importorskip("matplotlib")
    weights = kerasrnn.AttentionWeights(np.eye(2), (r"$\frac$", "$5$"), ("$$", "[END]"))
    weights.plot(tmp_path / "weights.png")

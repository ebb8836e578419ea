"""Exported models that write texts answer as the models do."""

import numpy as np
import pytest
import tensorflow as tf

import kerasrnn
from kerasrnn.models import writing
from kerasrnn.serving.conversion import convert
from kerasrnn.text.batches import pad
from tests.plain_ops import assert_plain

TEXTS = ["abc", "", "é?a", "abcéab" + "c" * 20, "b"]
VECTORS = np.random.default_rng(1).normal(size=(4, 3)).astype("float32")


@pytest.fixture(scope="module")
def of_texts(exported_seq2seq):
    loaded = tf.saved_model.load(str(exported_seq2seq))
    return loaded.signatures


@pytest.fixture(scope="module")
def of_vectors(exported_sequence_decoder):
    loaded = tf.saved_model.load(str(exported_sequence_decoder))
    return loaded.signatures


@pytest.fixture(params=["texts", "vectors"])
def each(request):
    """A model, its signatures, and sources as they and the model take them."""
    if request.param == "texts":
        model, signatures = request.getfixturevalue("seq2seq"), "of_texts"
        sources, named = TEXTS, {"text": tf.constant(TEXTS)}
    else:
        model, signatures = request.getfixturevalue("sequence_decoder"), "of_vectors"
        sources, named = VECTORS, {"source": tf.constant(VECTORS)}
    return model, request.getfixturevalue(signatures), sources, named


def decoded(texts):
    return [text.decode() for text in texts.numpy()]


def test_it_writes_what_greedy_decoding_writes(each):
    model, signatures, sources, named = each
    outputs = signatures["serving_default"](**named)
    assert set(outputs) == {"text"}
    assert decoded(outputs["text"]) == model.generate(sources)


@pytest.mark.parametrize(("beam", "penalty"), [(1, 0.0), (3, 0.6), (5, 10.0)])
def test_it_finds_what_the_beam_search_finds(each, beam, penalty):
    model, signatures, sources, named = each
    outputs = signatures["nbest"](
        **named, beam=tf.constant(beam), length_penalty=tf.constant(penalty)
    )
    assert outputs["text"].shape == outputs["score"].shape == (len(sources), beam)
    expected = model.nbest(sources, beam, length_penalty=penalty)
    for texts, scores, row in zip(outputs["text"], outputs["score"], expected, strict=True):
        assert decoded(texts)[: len(row)] == [text for text, _ in row]
        np.testing.assert_allclose(scores[: len(row)], [s for _, s in row], rtol=1e-4)
        assert np.all(scores[len(row) :] == -np.inf)


def test_it_scores_as_the_model_does(each):
    model, signatures, sources, named = each
    targets = tf.constant(["", "no yes", "été", "?", "ab"][: len(sources)])
    outputs = signatures["score"](**named, target=targets)
    given, _ = model.as_batch(sources)
    nats, num_tokens, weights = writing.score(model, model.read(given), targets)
    np.testing.assert_allclose(outputs["nats"], nats, rtol=1e-4)
    np.testing.assert_array_equal(outputs["num_tokens"], num_tokens)
    assert ("attention" in outputs) == (weights is not None)


def test_attention_belongs_to_the_tokens_beside_it(of_texts, seq2seq):
    targets = ["no", "yes été", "", "no no", "x"]
    outputs = of_texts["score"](text=tf.constant(TEXTS), target=tf.constant(targets))
    read = min(max(map(len, TEXTS)), seq2seq.max_source_length)
    assert outputs["attention"].shape == (len(TEXTS), 3, read)
    assert outputs["source_tokens"].shape == (len(TEXTS), read)
    assert [decoded(row) for row in outputs["source_tokens"]][2] == list("é?a") + [""] * 3
    assert decoded(outputs["target_tokens"][1]) == ["yes", "été"]
    for row, text in enumerate(TEXTS):
        if text:
            expected = kerasrnn.attention_weights(seq2seq, text, targets[row]).weights
            found = outputs["attention"][row, : len(expected), : expected.shape[1]]
            np.testing.assert_allclose(found, expected, atol=1e-5)


def test_ids_in_ids_out(of_texts, seq2seq):
    ids = pad(seq2seq.source_vocabulary.encode(TEXTS[:3]))
    outputs = of_texts["ids"](ids=ids)
    assert outputs["ids"].shape == (3, seq2seq.max_length)
    assert decoded(seq2seq.vocabulary.decode(outputs["ids"])) == seq2seq.generate(TEXTS[:3])
    longer = of_texts["ids"](ids=tf.pad(ids, [[0, 0], [0, 5]]))
    np.testing.assert_array_equal(longer["ids"], outputs["ids"])
    assert of_texts["ids"](ids=tf.zeros([2, 0], tf.int32))["ids"].shape == (2, 5)


def test_no_sources_get_no_answers(each):
    _, signatures, _, named = each
    none = {name: value[:0] for name, value in named.items()}
    numbers = {"beam": tf.constant(2), "length_penalty": tf.constant(0.0)}
    assert signatures["serving_default"](**none)["text"].shape == (0,)
    assert signatures["nbest"](**none, **numbers)["text"].shape == (0, 2)
    scores = signatures["score"](**none, target=tf.constant([], tf.string))
    assert all(output.shape[0] == 0 for output in scores.values())
    if "ids" in signatures:
        assert signatures["ids"](ids=tf.zeros([0, 0], tf.int32))["ids"].shape == (0, 5)


def test_numbers_out_of_range_are_named(each):
    _, signatures, _, named = each
    right = {"beam": 2, "length_penalty": 0.6}
    nan = float("nan")
    for name, values in {"beam": [0, -1, 6], "length_penalty": [-0.5, 11.0, nan]}.items():
        for value in values:
            numbers = {k: tf.constant(v) for k, v in {**right, name: value}.items()}
            with pytest.raises(tf.errors.InvalidArgumentError, match=f"{name} must lie in"):
                signatures["nbest"](**named, **numbers)
    (name,) = named
    for count in (0, 1, 9):
        targets = tf.constant(["a"] * count, tf.string)
        with pytest.raises(
            tf.errors.InvalidArgumentError, match=f"there must be a target for each {name}"
        ):
            signatures["score"](**named, target=targets)


def test_signatures_have_the_documented_names_types_and_shapes(of_texts, of_vectors):
    def described(specs):
        return {name: (spec.dtype, spec.shape.as_list()) for name, spec in specs.items()}

    texts, vectors = (tf.string, [None]), (tf.float32, [None, 3])
    numbers = {"beam": (tf.int32, []), "length_penalty": (tf.float32, [])}
    ids = (tf.int32, [None, None])
    for signatures, source in ((of_texts, {"text": texts}), (of_vectors, {"source": vectors})):
        inputs = {
            name: described(signature.structured_input_signature[1])
            for name, signature in signatures.items()
        }
        outputs = {
            name: described(signature.structured_outputs)
            for name, signature in signatures.items()
        }
        expected = {
            "serving_default": source,
            "nbest": {**source, **numbers},
            "score": {**source, "target": texts},
        }
        if signatures is of_texts:
            expected["ids"] = {"ids": ids}
            assert outputs["ids"]["ids"][0] == tf.int32
        assert inputs == expected
        assert outputs["serving_default"] == {"text": texts}
        assert outputs["nbest"]["text"] == (tf.string, [None, None])
        assert outputs["nbest"]["score"] == (tf.float32, [None, None])
        assert outputs["score"]["nats"] == (tf.float32, [None])
        assert outputs["score"]["num_tokens"] == (tf.int32, [None])


def test_graphs_hold_plain_ops_and_folders_both_vocabularies(
    exported_seq2seq, exported_sequence_decoder, seq2seq, sequence_decoder
):
    assert_plain(exported_seq2seq)
    assert_plain(exported_sequence_decoder)
    load = kerasrnn.TokenVocabulary.load
    assets = exported_seq2seq / "assets"
    source = load(assets / "source_vocabulary.txt", "character")
    assert source.tokens == seq2seq.source_vocabulary.tokens
    assert load(assets / "vocabulary.txt", "whitespace").tokens == seq2seq.vocabulary.tokens
    assets = exported_sequence_decoder / "assets"
    assert [path.name for path in assets.iterdir()] == ["vocabulary.txt"]
    found = load(assets / "vocabulary.txt", "character")
    assert found.tokens == sequence_decoder.vocabulary.tokens


@pytest.mark.slow
@pytest.mark.parametrize(
    ("format", "needed"),
    [("onnx", ["tf2onnx", "onnxruntime"]), ("litert", ["ai_edge_litert.interpreter"])],
)
def test_ids_are_converted(exported_seq2seq, tmp_path, format, needed):
    for module in needed:
        pytest.importorskip(module)
    file, signature = convert(exported_seq2seq, tmp_path / "x", format)
    assert file.stat().st_size > 0  # the outputs are compared
    assert signature == "ids"

"""A text in, another one out: the numbers, against NumPy, and what is written."""

import itertools
import threading

import keras
import numpy as np
import pytest
import tensorflow as tf

import kerasrnn
from kerasrnn.layers.compilation import scan_mode
from kerasrnn.models import writing
from kerasrnn.text.tokens import END_ID, START_ID
from kerasrnn.text.words import PADDING_ID
from kerasrnn.training.feedback import Feedback
from tests import reference
from tests.seeds import set_seed
from tests.small_models import make_seq2seq

STEPS = {"vanilla": reference.vanilla_step, "lstm": reference.lstm_step}
MODELS = {
    "small": {"cell": "vanilla", "bidirectional": False, "attention": None},
    "deep": {"cell": "vanilla", "num_layers": 2, "attention": "dot", "dropout": 0.2},
    "gated": {"cell": "lstm", "attention": "additive", "recurrent_dropout": 0.1},
    "gated, deep": {"cell": "lstm", "num_layers": 2, "bidirectional": False},
}
SOURCE = np.array([[4, 5, 6, 1], [7, 4, 0, 0], [5, 0, 0, 0]])
INPUTS = np.array([[2, 4, 5], [2, 6, 0], [2, 0, 0]])
TARGETS = np.array([[4, 5, 3], [6, 3, 0], [3, 0, 0]])
X = {"source": SOURCE, "inputs": INPUTS}
SOURCES = ["abc", "éa?", "", "b"]


@pytest.fixture(scope="module")
def models():
    return {name: make_seq2seq(**options) for name, options in MODELS.items()}


@pytest.fixture(params=MODELS)
def each(models, request):
    return models[request.param]


@pytest.fixture(params=["small", "deep", "gated"])
def model(models, request):
    """Those that write: their graphs take time to trace."""
    return models[request.param]


def tensors(x):
    return {name: tf.constant(value, tf.int32) for name, value in x.items()}


def numpy_logits(model, source, inputs):
    """The equations of the model, in NumPy."""
    step = STEPS[model.get_config()["cell"]]
    mask, states = source != 0, []
    x = model.source_table.get_weights()[0][source]
    for layer in model.encoder_layers:
        if isinstance(layer, keras.layers.Bidirectional):
            both = layer.forward_layer.get_weights(), layer.backward_layer.get_weights()
            ahead, last = reference.read_sequence(step, both[0], x, mask)
            back, first = reference.read_sequence(step, both[1], x[:, ::-1], mask[:, ::-1])
            x = np.concatenate([ahead, back[:, ::-1]], -1)
            pairs = zip(last, first, strict=True)
            states.append([np.concatenate(pair, -1) for pair in pairs])
        else:
            x, last = reference.read_sequence(step, layer.get_weights(), x, mask)
            states.append(last)
    y = model.target_table.get_weights()[0][inputs]
    for layer, first in zip(model.decoder_layers, states, strict=True):
        y, _ = reference.read_sequence(step, layer.get_weights(), y, inputs != 0, first)
    if model.context is not None:
        keys, queries, v = x, y, None
        if model.context.of_memory is not None:
            kernel, bias = model.context.of_memory.get_weights()
            keys = x @ kernel + bias
            queries = y @ model.context.of_queries.get_weights()[0]
            (v,) = model.context.attention.get_weights()
        contexts, _ = reference.attend(queries, keys, x, mask, v)
        kernel, bias = model.context.combine.get_weights()
        y = np.tanh(np.concatenate([contexts, y], -1) @ kernel + bias)
    kernel, bias = model.output_layer.get_weights()
    return y @ kernel + bias


def test_logits_are_those_of_numpy(each):
    np.testing.assert_allclose(each(X), numpy_logits(each, **X), atol=2e-5)


def test_masked_steps_may_be_anywhere(models):
    x = {"source": np.array([[4, 0, 5], [0, 0, 6]]), "inputs": np.array([[2, 0, 5], [0, 2, 4]])}
    for model in (models["deep"], models["gated"]):
        counts = x["inputs"] != 0
        expected = numpy_logits(model, **x)[counts]
        np.testing.assert_allclose(model(x)[counts], expected, atol=2e-5)


def test_padding_changes_nothing(model):
    longer = {"source": [[0, 0], [0, 3]], "inputs": [[0, 0], [0, 1]]}
    padded = {name: np.pad(value, longer[name]) for name, value in X.items()}
    padded["source"][3:, 0] = padded["inputs"][3:, 0] = 0  # nothing but padding
    in_graph = tf.function(lambda x: model(x, training=False), autograph=False)
    expected = model(X).numpy()
    for call in (model, in_graph):
        found = call(tensors(padded)).numpy()
        np.testing.assert_allclose(found[:3, :3], expected, atol=1e-5)
        assert np.isfinite(found).all()
    for row in range(3):  # each alone, and none longer than it is
        alone = {name: value[row : row + 1] for name, value in X.items()}
        alone = {name: value[:, : (value != 0).sum()] for name, value in alone.items()}
        length = alone["inputs"].shape[1]
        np.testing.assert_allclose(model(alone)[0], expected[row, :length], atol=1e-5)


def test_single_steps_give_what_the_whole_sequence_gives(model):
    expected = model(X).numpy()
    states, memory = model.start(tensors(X)["source"], training=False)
    for t in range(3):
        logits, states = model.step(memory, tensors(X)["inputs"][:, t], states)
        counts = INPUTS[:, t] != 0
        np.testing.assert_allclose(logits[counts], expected[counts, t], atol=1e-5)


def test_gradients_are_those_of_finite_differences(models, rng):
    """In some directions of all weights, of the loss that training sees."""
    model, loss = models["small"], kerasrnn.SmoothedCrossentropy(0.1)

    def mean_loss(training):
        losses = loss.call(tf.constant(TARGETS), model(tensors(X), training=training))
        return tf.reduce_sum(losses * (INPUTS != 0)) / (INPUTS != 0).sum()

    weights = model.trainable_variables
    before = [weight.numpy() for weight in weights]
    with tf.GradientTape() as tape:
        value = mean_loss(training=True)
    gradients = tape.gradient(value, [weight.value for weight in weights])

    def moved(direction, size):
        for weight, start, step in zip(weights, before, direction, strict=True):
            weight.assign(start + size * step)
        with scan_mode("portable"):
            return float(mean_loss(training=False))

    for _ in range(4):
        direction = [rng.normal(size=weight.shape) for weight in weights]
        expected = (moved(direction, 5e-3) - moved(direction, -5e-3)) / 1e-2
        found = sum(np.sum(g * d) for g, d in zip(gradients, direction, strict=True))
        assert found == pytest.approx(expected, rel=2e-2, abs=1e-3)
    moved(direction, 0)


def text_of(model, ids):
    return " ".join(model.vocabulary.tokens[token - 4] for token in ids)


def test_greedy_decoding_takes_the_most_probable_token_each_time(model):
    found = model.generate(SOURCES, max_length=4)
    for source, written in zip(SOURCES, found, strict=True):
        states, memory = model.start(model.read(tf.constant([source])), training=False)
        token, ids = START_ID, []
        while len(ids) < 4:
            logits, states = model.step(memory, tf.constant([token]), states)
            token = END_ID + int(np.argmax(logits[0, END_ID:]))
            if token == END_ID:
                break
            ids.append(token)
        assert written == text_of(model, ids)
        assert model.generate(source, max_length=4) == written


def test_scores_of_a_beam_are_those_of_teacher_forcing(model):
    for penalty in (0, 0.6, 2):
        found = model.nbest(SOURCES, 5, length_penalty=penalty, max_length=3)
        alone = model.nbest("abc", 5, length_penalty=penalty, max_length=3)
        assert [text for text, _ in alone] == [text for text, _ in found[0]]
        for source, texts in zip(SOURCES, found, strict=True):
            scores = [hypothesis.score for hypothesis in texts]
            assert scores == sorted(scores, reverse=True)
            assert len({hypothesis.text for hypothesis in texts}) == len(texts) == 5
            sources = tf.constant([source] * 5)
            targets = tf.constant([hypothesis.text for hypothesis in texts])
            nats, num_tokens, _ = writing.score(model, model.read(sources), targets)
            penalties = ((5 + num_tokens.numpy()) / 6) ** penalty
            np.testing.assert_allclose(scores, -nats / penalties, rtol=1e-4)
    assert model.generate(SOURCES, beam=5, length_penalty=2, max_length=3) == [
        texts[0].text for texts in found
    ]


def test_the_score_of_a_text_is_the_sum_over_its_tokens(models):
    model = models["gated"]
    targets = ["yes no", "?", ""]
    nats, num_tokens, weights = writing.score(
        model, model.read(tf.constant(["abc", "b", "a"])), tf.constant(targets)
    )
    assert model.vocabulary.tokens[:2] == ("no", "yes")
    ids = np.array([[5, 4, 3], [1, 3, 0], [3, 0, 0]])
    inputs = np.array([[2, 5, 4], [2, 1, 0], [2, 0, 0]])
    logits = numpy_logits(model, np.array([[4, 5, 6], [5, 0, 0], [4, 0, 0]]), inputs)
    log_p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    taken = np.take_along_axis(log_p, ids[..., None], -1)[..., 0] * (ids != 0)
    np.testing.assert_array_equal(num_tokens, [3, 2, 1])
    np.testing.assert_allclose(nats, -taken.sum(1), rtol=1e-4)
    assert weights.shape == (3, 3, 3)
    np.testing.assert_allclose(tf.reduce_sum(weights, -1), 1, rtol=1e-5)


def test_a_beam_of_one_is_at_least_as_probable_as_greedy_decoding(model):
    greedy = model.generate(SOURCES)
    beam = model.nbest(SOURCES, 1, length_penalty=0)
    nats, _, _ = writing.score(model, model.read(tf.constant(SOURCES)), tf.constant(greedy))
    for (best,), cost in zip(beam, nats, strict=True):
        assert best.score >= -float(cost) - 1e-4


def test_a_seed_decides_what_is_drawn(models):
    model, how = models["deep"], {"temperature": 1.5, "top_p": 0.95}
    sources = ["abc"] * 12
    first = model.generate(sources, seed=1, **how)
    assert model.generate(sources, seed=1, **how) == first
    assert model.generate(sources, seed=2, **how) != first
    assert len(set(first)) > 3
    assert model.generate(sources, top_k=1, temperature=1.0, seed=5) == model.generate(sources)


def test_no_sources_have_no_texts(models):
    model = models["deep"]
    assert model.generate([]) == model.generate([], beam=2) == model.nbest([], 2) == []


def test_of_a_long_source_the_rest_is_not_read(models):
    model = models["deep"]
    assert model.generate("abcéab" + "é" * 50) == model.generate("abcéab")
    assert model.nbest("abcéab" + "é" * 50, 2) == model.nbest("abcéab", 2)


def test_strange_texts_are_read(models):
    strange = ["\0", "a\nb\u2028", "\ud800", "e\u0301😀", "[END]", "a\u00a0b"]
    assert all(isinstance(text, str) for text in models["deep"].generate(strange))


def test_threads_write_the_same_texts():
    model, found = make_seq2seq(**MODELS["small"]), [None] * 6

    def write(number):
        found[number] = model.generate(SOURCES, beam=2 if number % 2 else None)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [model.generate(SOURCES), model.generate(SOURCES, beam=2)] * 3


@pytest.mark.slow
def test_many_models_in_one_process_are_no_warning(models, caplog):
    """TensorFlow warns of a function that it traces again and again."""
    numbers = tf.constant(2), tf.constant(2), tf.constant(0.6)
    for _ in range(7):
        writing.Writers(models["small"]).search(tf.constant(["abc"]), *numbers)
    assert "retracing" not in caplog.text


@pytest.mark.slow
def test_half_precision_trains_and_writes():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = make_seq2seq(cell="vanilla", bidirectional=False)
        model.compile("sgd", run_eagerly=True)
        loss, _ = model.train_on_batch(X, TARGETS)
        assert np.isfinite(loss)
        assert model(X).dtype == tf.float32
        assert model.decoder_layers[0].compute_dtype == "bfloat16"
        assert len(model.nbest("abc", 2)) == 2
        assert isinstance(model.generate("abc"), str)
    finally:
        keras.config.set_dtype_policy("float32")


@pytest.mark.slow
def test_it_learns_to_turn_texts_round(rng):
    """Recorded: 20 of 20 texts that it had not seen."""
    set_seed(0)
    texts = ["".join(t) for n in range(1, 5) for t in itertools.product("abc", repeat=n)]
    rng.shuffle(texts)
    turned = [text[::-1] for text in texts]
    letters = kerasrnn.TokenVocabulary.from_texts(["abc"], "character")
    model = kerasrnn.Seq2Seq(letters, letters, units=32, embedding_dim=8)
    model.compile(keras.optimizers.Adam(0.03), global_clipnorm=1.0)
    batches = model.make_batches(texts[20:], turned[20:], batch_size=20, seed=0)
    model.fit(batches, epochs=40, verbose=0)
    found = model.generate(texts[:20])
    assert np.mean([a == b for a, b in zip(found, turned[:20], strict=True)]) > 0.8


LETTERS = kerasrnn.TokenVocabulary.from_texts(["ab"], "character")
EMPTY = kerasrnn.TokenVocabulary([], "whitespace")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"units": 3}, "units must be even if bidirectional=True, .* got units=3"),
        ({"units": 0}, "units must be a positive integer"),
        ({"num_layers": 0}, "num_layers must be a positive integer"),
        ({"embedding_dim": 2.5}, "embedding_dim must be a positive integer"),
        ({"cell": "elman"}, "cell must be one of vanilla, lstm, gru, got cell='elman'"),
        ({"attention": "cosine"}, "attention must be one of dot, additive, got attention="),
        ({"bidirectional": 1}, "bidirectional must be True or False"),
        ({"dropout": 1}, "dropout must lie in"),
        ({"recurrent_dropout": -0.1}, "recurrent_dropout must lie in"),
        ({"max_source_length": 0}, "max_source_length must be a positive integer"),
        ({"max_target_length": None}, "max_target_length must be a positive integer"),
        ({"source_vocabulary": "abc"}, "source_vocabulary must be a kerasrnn.TokenVocab"),
        ({"target_vocabulary": "abc"}, "must be a kerasrnn.TokenVocabulary, got str"),
        ({"target_vocabulary": EMPTY}, "has no tokens: nothing can be written"),
    ],
)
def test_what_makes_no_model_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        kerasrnn.Seq2Seq(
            **{"source_vocabulary": LETTERS, "target_vocabulary": LETTERS, **options}
        )


def test_a_source_vocabulary_may_be_empty():
    model = kerasrnn.Seq2Seq(EMPTY, LETTERS, units=2, bidirectional=False, cell="vanilla")
    assert isinstance(model.generate("whatever", max_length=2), str)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"beam": 0}, r"beam must be an integer in \[1, 5\], .* got beam=0"),
        ({"beam": 6}, r"beam must be an integer in \[1, 5\], .* got beam=6"),
        ({"beam": 2.0}, r"beam must be an integer in \[1, 5\], .* got beam=2.0"),
        ({"beam": True}, "beam must be an integer in"),
        ({"beam": 2, "length_penalty": -1}, r"length_penalty must lie in \[0, 10\]"),
        ({"beam": 2, "length_penalty": 10.5}, r"length_penalty must lie in \[0, 10\]"),
        ({"beam": 2, "length_penalty": float("nan")}, "length_penalty must lie in"),
        ({"beam": 2, "max_length": 0}, "max_length must be a positive integer"),
        ({"max_length": 2.5}, "max_length must be a positive integer"),
        ({"temperature": -1}, "temperature must lie in"),
        ({"top_k": 6}, r"top_k must be an integer in \[1, 5\]"),
        ({"top_p": 0}, "top_p must lie in"),
        ({"seed": "a"}, "seed must be a 32-bit integer"),
        ({"sources": None}, "sources must be a str or a list of str"),
        ({"sources": [b"a"]}, "sources must be a str or a list of str"),
    ],
)
def test_nothing_is_written_for_nonsense(models, options, message):
    with pytest.raises(ValueError, match=message):
        models["small"].generate(**{"sources": "abc", **options})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"inputs": np.array([[2, 8]])}, "takes ids from 0 to 7, the 8 entries .* from 2 to 8"),
        ({"inputs": np.array([[2, -1]])}, "takes ids from 0 to 7, .* got ids from -1 to 2"),
        ({"inputs": np.array([[2, 0.5]])}, "must be whole numbers, got 0.5"),
        ({"inputs": np.array([["no"]])}, "takes integers as ids, got texts"),
        (
            {"source": np.array([[9]])},
            "the encoder of .* takes ids from 0 to 7, .* from 9 to 9",
        ),
        ({"source": np.array([[4.5]])}, "the encoder of .* must be whole numbers, got 4.5"),
        ({"source": np.array([["a"]])}, "the encoder of .* takes integers as ids, got texts"),
    ],
)
def test_ids_that_there_are_not_are_one_line(models, change, message):
    x = {"source": np.array([[4, 5]]), "inputs": np.array([[2, 4]]), **change}
    with pytest.raises(ValueError, match=message) as raised:
        models["small"](x)
    assert "\n" not in str(raised.value)


def test_whole_numbers_may_be_floats(models):
    x = {name: value.astype("float32") for name, value in X.items()}
    np.testing.assert_array_equal(models["deep"](x), models["deep"](X))


@pytest.mark.parametrize("x", [{"inputs": INPUTS}, INPUTS])
def test_a_batch_without_a_source_is_refused(models, x):
    model = models["small"]
    model.compile()
    for call in (model, lambda x: model.train_on_batch(x, TARGETS)):
        with pytest.raises(ValueError, match='a dictionary of "source" and "inputs", got'):
            call(x)


@pytest.mark.parametrize(
    ("sources", "targets", "options", "message"),
    [
        (["a"], ["no", "yes"], {}, "a target for each source, got 1 sources and 2 targets"),
        (["a", "aaaaaaa"], ["no"] * 2, {}, "1 of 2 sources have more than max_source_length=6"),
        (["a"], ["no no no no no no"], {}, "1 of 1 targets have more than max_target_length=5"),
        (["a"], ["no"], {"batch_size": 0}, "batch_size must be a positive integer"),
        (["a"], ["no"], {"seed": 1.5}, "seed must be an integer or None, got seed=1.5"),
        (["a"], [3], {}, "targets must be a str or a list of str"),
        ([b"a"], ["no"], {}, "sources must be a str or a list of str"),
    ],
)
def test_no_batches_are_made_of_nonsense(models, sources, targets, options, message):
    with pytest.raises(ValueError, match=message):
        models["small"].make_batches(sources, targets, **options)


def test_targets_end_and_inputs_start(models):
    batches = models["small"].make_batches(
        ["ab", "", "?"], ["no", "", "no ? yes"], batch_size=3
    )
    ((x, targets),) = batches.as_numpy_iterator()
    no, yes = models["small"].vocabulary.encode(["no yes"]).to_list()[0]
    assert x["source"].tolist() == [[4, 5], [0, 0], [1, 0]]
    assert x["inputs"].tolist() == [[2, no, 0, 0], [2, 0, 0, 0], [2, no, 1, yes]]
    assert targets.tolist() == [[no, 3, 0, 0], [3, 0, 0, 0], [no, 1, yes, 3]]


@pytest.mark.parametrize("option", [{"window": 3}, {"recompute": True}])
def test_it_reads_whole_sequences(models, option):
    with pytest.raises(ValueError, match="Seq2Seq reads whole sequences"):
        models["small"].compile(**option)


@pytest.mark.parametrize("smoothing", [False, "", -0.1, 1.0, [0.1]])
def test_label_smoothing_is_a_part(models, smoothing):
    with pytest.raises(ValueError, match="label_smoothing must lie in"):
        models["small"].compile(label_smoothing=smoothing)
    with pytest.raises(ValueError, match="Remove loss= or label_smoothing="):
        models["small"].compile(loss="mse", label_smoothing=0.1)


def test_what_is_never_written_is_never_fed_back(models):
    model, fed = models["small"], []

    def draw(logits, t):
        fed.append(logits.numpy().argmax(-1))
        return tf.cast(tf.argmax(logits, -1), tf.int32)

    model.output_layer.bias.assign(9.0 * tf.one_hot(PADDING_ID, len(model.vocabulary)))
    feedback = Feedback(tf.constant(1.0), draw, tf.constant([0, 0]))
    model(tensors(X), feedback=feedback)
    model.output_layer.bias.assign(tf.zeros(len(model.vocabulary)))
    assert fed
    assert min(ids.min() for ids in fed) >= END_ID


def test_an_encoder_that_cannot_truncate_is_named(models):
    vocabulary = models["small"].vocabulary
    encoder = keras.Sequential([keras.layers.LSTM(2, name="memory")])
    decoder = kerasrnn.SequenceDecoder(vocabulary, encoder, units=2)
    with pytest.raises(ValueError, match=r"memory is a keras.layers.LSTM, which cannot trunc"):
        decoder.compile(truncation=kerasrnn.TruncatedBPTT(2))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"beam": 2, "temperature": 0.5, "seed": 1}, "leave out temperature, seed, or beam"),
        ({"beam": 2, "top_k": 1}, "leave out top_k, or beam"),
        ({"length_penalty": 0.5}, "length_penalty is for a beam search"),
    ],
)
def test_a_beam_search_and_draws_exclude_each_other(models, options, message):
    with pytest.raises(ValueError, match=message):
        models["small"].generate("a", **options)

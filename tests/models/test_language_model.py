"""A language model over characters: against NumPy, and against itself taken step by step."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

import kerasrnn
from kerasrnn.models import sampling
from kerasrnn.models.generation import PIECE
from kerasrnn.models.lookup import InputTable
from tests import reference
from tests.plain_ops import assert_plain, assert_plain_graph

TEXT = "Être ou ne pas être: 問題だ 🎭.\n" * 30
SET_UPS = {
    "deep": {"num_layers": 2, "dropout": 0.2, "recurrent_dropout": 0.1},
    "embedded": {"embedding_dim": 3, "num_layers": 2, "residual": False},
    "tied": {"tie_weights": True},
    "lstm": {"cell": "lstm", "num_layers": 2, "embedding_dim": 3, "recurrent_dropout": 0.1},
    "gru": {"cell": "gru", "tie_weights": True, "recurrent_dropout": 0.1},
}


def make_model(**options):
    keras.utils.set_random_seed(1)
    vocabulary = kerasrnn.CharacterVocabulary.from_text(TEXT)
    model = kerasrnn.CharLanguageModel(vocabulary, units=6, **options)
    model(tf.zeros([1, 1], tf.int32))
    for variable in model.trainable_variables:  # scores far apart
        variable.assign(2 * variable + 0.1)
    return model


@pytest.fixture(scope="module")
def models():
    return {name: make_model(**options) for name, options in SET_UPS.items()}


@pytest.fixture(scope="module")
def model(models):
    return models["deep"]


@pytest.fixture(params=["deep", "embedded", "tied", "lstm"])
def each(models, request):
    return models[request.param]


def test_logits_are_those_of_numpy(model, rng):
    ids = rng.integers(0, len(model.vocabulary), size=(2, 7))
    tables = [a.table().numpy() for a in model.sequence_layers if isinstance(a, InputTable)]
    layers = []
    for layer in model.recurrent_layers:
        *kernel, recurrent_kernel, bias = layer.get_weights()
        layers.append((kernel[0] if kernel else None, recurrent_kernel, bias))
    output = model.sequence_layers[-1].get_weights()
    expected = reference.language_model_logits(ids, tables, layers, *output)
    np.testing.assert_allclose(model(ids), expected, atol=1e-4)


def test_single_steps_give_what_the_whole_sequence_gives(each, rng):
    ids = rng.integers(0, len(each.vocabulary), size=(3, 5))
    states = each.initial_states(3)
    whole, last = each(ids, return_states=True)
    for t in range(5):
        logits, states = each.step(tf.constant(ids[:, t]), states)
        np.testing.assert_allclose(logits, whole[:, t], atol=1e-5)
    for a, b in zip(tf.nest.flatten(states), tf.nest.flatten(last), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


@pytest.mark.parametrize("name", ["deep", "lstm"])
def test_greedy_text_is_that_of_a_loop_that_calls_the_model(models, name):
    model = models[name]
    vocabulary = model.vocabulary
    written = model.generate("Être", length=20, temperature=0)
    text = "Être"
    for _ in range(20):
        logits = model(vocabulary.encode(text)[None])[0, -1].numpy()
        logits[0] = -np.inf
        text += vocabulary.decode([int(np.argmax(logits))])
    assert written == text.removeprefix("Être")


def test_streamed_text_is_the_generated_text(model):
    options = {"length": PIECE + 5, "temperature": 0.9, "top_p": 0.95, "seed": 4}
    whole = model.generate("ne pas", **options)
    pieces = list(model.stream("ne pas", **options))
    assert "".join(pieces) == whole
    assert len(whole) == PIECE + 5
    assert len(pieces) > 1


def test_a_seed_decides_the_text(model):
    first, again, other = (model.generate("", 40, seed=seed) for seed in (1, 1, 2))
    assert first == again != other
    keras.utils.set_random_seed(3)
    free = [model.generate("", 40) for _ in range(2)]
    keras.utils.set_random_seed(3)
    assert [model.generate("", 40) for _ in range(2)] == free
    assert free[0] != free[1]


def test_more_is_the_same_and_then_more(model):
    assert model.generate("a", 50, seed=1).startswith(model.generate("a", 21, seed=1))


def test_prompts_of_any_length_go_side_by_side(model):
    prompts = ["", "問", "ne pas être", "Être ou " * 9]
    together = model.generate(prompts, 12, temperature=0)
    assert together == [model.generate(prompt, 12, temperature=0) for prompt in prompts]
    assert model.generate([], 12) == []


@pytest.mark.parametrize(("characters", "first"), [("ab \n", "\n"), ("ab ", " "), ("ba", "b")])
def test_an_empty_prompt_begins_a_line(characters, first):
    model = kerasrnn.CharLanguageModel(characters, units=3)
    ids, states = model.read(tf.constant(["", first]))
    assert model.vocabulary.decode(ids) == first * 2
    assert not np.any(states[0][0])


def test_characters_never_seen_read_as_one_and_are_never_written(model):
    assert model.generate("Zürich", 30, seed=0) == model.generate(
        "\ufffd\ufffdri\ufffd\ufffd", 30, seed=0
    )
    assert model.generate("\ud800", 30, seed=0) == model.generate("\ufffd", 30, seed=0)
    assert "\ufffd" not in model.generate("Z", 500, temperature=50.0, seed=0)


def test_top_k_1_is_greedy(model):
    assert model.generate("ou", 30, top_k=1, seed=5) == model.generate("ou", 30, temperature=0)


def test_a_stop_ends_the_text_before_it(model):
    whole = model.generate("ou", 3 * PIECE, seed=1)
    for place in (0, 10, PIECE - 1, PIECE + 3):  # also across two pieces
        stop = whole[place : place + 3]
        expected = whole[: whole.index(stop)]
        assert model.generate("ou", 3 * PIECE, seed=1, stop=stop) == expected
        assert "".join(model.stream("ou", 3 * PIECE, seed=1, stop=("@@", stop))) == expected
    assert model.generate("ou", 3 * PIECE, seed=1, stop="@@") == whole
    assert "".join(model.stream("ou", 3 * PIECE, seed=1, stop="@@")) == whole


def test_a_stop_does_not_depend_on_the_other_texts(model):
    whole = model.generate("ou", 3 * PIECE, seed=1)
    long, short = whole[PIECE - 4 : PIECE + 4], whole[PIECE - 3 : PIECE - 1]
    assert long not in whole[:PIECE]
    stops = (long, short, "@@")  # the short one is complete first
    alone = model.generate("ou", 3 * PIECE, seed=1, stop=stops)
    assert alone == whole[: whole.index(short)]
    assert model.generate(["ou", "Zß"], 3 * PIECE, seed=1, stop=stops)[0] == alone


def test_the_whole_text_is_written_in_one_call_of_a_graph(model, monkeypatch):
    generator, calls = model._generator, []
    model.generate("ou", 3, seed=0)  # which traces it
    graph = generator.whole_graph(False, 1)
    extend = sampling.extend
    monkeypatch.setattr(sampling, "extend", lambda *a, **k: calls.append("trace") or extend(*a))
    monkeypatch.setattr(
        generator, "whole_graph", lambda *_: lambda *a: calls.append("call") or graph(*a)
    )
    assert len(model.generate("ou", 300, seed=0)) == 300
    assert calls == ["call"]


def test_the_score_is_the_mean_of_the_cross_entropies(model):
    text = TEXT[:200]
    ids = model.vocabulary.encode(text)
    losses = keras.losses.sparse_categorical_crossentropy(
        ids[None, 1:], model(ids[None, :-1]), from_logits=True
    )
    score = model.score(text)
    assert score.nats_per_character == pytest.approx(float(np.mean(losses)), rel=1e-5)
    assert score.bits_per_character == pytest.approx(score.nats_per_character / math.log(2))
    assert (score.num_characters, score.num_unknown) == (199, 0)


def test_the_score_of_a_long_text_is_carried_over_its_pieces(model, monkeypatch):
    whole = model.score(TEXT + "ZZZ")
    monkeypatch.setattr("kerasrnn.models.language_model.SCORED_AT_ONCE", 7)
    pieces = model.score(TEXT + "ZZZ")
    assert pieces.nats_per_character == pytest.approx(whole.nats_per_character, rel=1e-5)
    assert pieces[2:] == whole[2:] == (len(TEXT) + 2, 3)


def test_texts_side_by_side_are_scored_each_for_itself(model):
    ids, states = model.read(tf.constant(["ou", "問題だ"]))
    nothing = model.nats_of(tf.constant(["", ""]), ids, states)
    assert not np.any(nothing[0])
    texts = tf.constant([" ne pas", "🎭."])
    nats, lengths, unknown, last, _ = model.nats_of(texts, *nothing[3:])
    for row, (before, text) in enumerate([("ou", " ne pas"), ("問題だ", "🎭.")]):
        codes = model.vocabulary.encode(before + text)
        losses = keras.losses.sparse_categorical_crossentropy(
            codes[None, 1:], model(codes[None, :-1]), from_logits=True
        )
        expected = np.sum(losses[0, len(before) - 1 :])
        np.testing.assert_allclose(nats[row], expected, rtol=1e-5)
    assert model.vocabulary.decode(last) == "s."
    assert lengths.numpy().tolist() == [7, 2]
    assert unknown.numpy().tolist() == [0, 0]


def test_it_learns_a_text():
    keras.utils.set_random_seed(0)
    vocabulary = kerasrnn.CharacterVocabulary.from_text(TEXT)
    model = kerasrnn.CharLanguageModel(vocabulary, units=24, num_layers=2, dropout=0.1)
    model.compile(keras.optimizers.Adam(0.02), window=15, global_clipnorm=1.0)
    stream = kerasrnn.Stream.from_tokens(vocabulary.encode(TEXT), batch_size=4)
    model.fit(stream, epochs=6, verbose=0)
    assert model.score(TEXT).nats_per_character < 0.3
    assert model.generate("Être ou", 40, temperature=0) == TEXT[7:47]


def test_text_follows_the_weights(model):
    weights, before = model.get_weights(), model.generate("ou", 30, seed=0)
    model.set_weights([w * 0.5 for w in weights])
    try:
        assert model.generate("ou", 30, seed=0) != before
    finally:
        model.set_weights(weights)
    assert model.generate("ou", 30, seed=0) == before


def test_a_saved_model_is_the_same_model(each, tmp_path):
    each.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.vocabulary == each.vocabulary
    assert loaded.get_config() == each.get_config()
    ids = np.array([[1, 2, 3]])
    np.testing.assert_array_equal(loaded(ids), each(ids))


def test_half_precision_writes_too():
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = make_model(num_layers=2)
        assert len(model.generate("ou", 20, seed=0)) == 20
        assert model(np.array([[1]])).dtype == tf.float32
    finally:
        keras.config.set_dtype_policy("float32")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"vocabulary": "a"}, "two characters or more, got 'a'"),
        ({"units": 0}, "units must be a positive integer"),
        ({"num_layers": 0}, "num_layers must be a positive integer"),
        ({"embedding_dim": -1}, "embedding_dim must be a positive integer"),
        ({"cell": "rnn"}, "cell must be one of vanilla, lstm, gru, got cell='rnn'"),
        ({"cell": "gru", "embedding_dim": 3, "tie_weights": True}, "needs embedding_dim=512"),
    ],
)
def test_what_makes_no_model_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        kerasrnn.CharLanguageModel(**{"vocabulary": "abc", **options})


def test_what_cannot_be_written_or_scored_is_refused(model):
    with pytest.raises(ValueError, match="length must be an integer of 0 or more, got .*=-1"):
        model.generate("ou", length=-1)
    with pytest.raises(ValueError, match="temperature must lie in"):
        model.generate("ou", temperature=-1)
    with pytest.raises(ValueError, match="top_k must be an integer in"):
        model.stream("ou", top_k=1000)
    with pytest.raises(ValueError, match="stop must be texts that are not empty"):
        model.generate("ou", stop=["\n", ""])
    with pytest.raises(ValueError, match="two characters or more, got 'o'"):
        model.score("o")


@pytest.fixture(scope="module")
def exported(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "chargen"
    path = kerasrnn.export(model, folder)
    return tf.saved_model.load(str(path)), path


@pytest.mark.parametrize("many", [False, True])
def test_the_exported_model_writes_the_same_text(model, exported, many):
    signature = exported[0].signatures["serving_default"]
    prompts = ["Être", "", "問題", "unknown: Z"] * (4 if many else 1)
    for temperature, seed, length in ((0.0, 0, 10), (0.8, 1, 70), (1.5, -5, 40)):
        written = signature(
            text=tf.constant(prompts),
            length=tf.constant(length),
            temperature=tf.constant(temperature),
            seed=tf.constant(seed),
        )["text"]
        expected = model.generate(prompts, length, temperature, seed=seed)
        assert [text.decode("utf-8") for text in written.numpy()] == expected


@pytest.mark.parametrize(
    ("prompts", "top_k", "top_p"), [(["Être"], 5, 0.9), (["Être", "", "問題"] * 6, 0, 1.0)]
)
def test_the_exported_model_goes_on_piece_by_piece(model, exported, prompts, top_k, top_p):
    signatures = exported[0].signatures
    state, texts = signatures["read"](text=tf.constant(prompts)), [""] * len(prompts)
    for position in (0, 16, 32):
        state = signatures["write"](
            length=tf.constant(16),
            temperature=tf.constant(1.0),
            top_k=tf.constant(top_k),
            top_p=tf.constant(top_p),
            seed=tf.constant(3),
            position=tf.constant(position),
            **state,
        )
        pieces = state.pop("text").numpy()
        texts = [
            text + piece.decode("utf-8") for text, piece in zip(texts, pieces, strict=True)
        ]
    assert texts == model.generate(prompts, 48, top_k=top_k or None, top_p=top_p, seed=3)


def test_an_exported_step_is_that_of_the_model(model, exported):
    step = exported[0].signatures["step"]
    ids = tf.constant([1, 5])
    states = model.initial_states(2)
    flat = {f"state_{n}": state for n, state in enumerate(tf.nest.flatten(states))}
    outputs = step(ids=ids, **flat)
    logits, states = model.step(ids, states)
    np.testing.assert_allclose(outputs["logits"], logits, atol=1e-6)
    assert outputs["logits"].shape == (2, len(model.vocabulary))
    for n, state in enumerate(tf.nest.flatten(states)):
        np.testing.assert_allclose(outputs[f"state_{n}"], state, atol=1e-6)


def test_an_exported_model_scores_as_the_model(model, exported):
    signatures = exported[0].signatures
    state = signatures["read"](text=tf.constant(["Ê", "n"]))
    outputs = signatures["score"](text=tf.constant(["tre oü", "e pas"]), **state)
    for row, text in enumerate(["Être oü", "ne pas"]):
        score = model.score(text)
        nats = score.nats_per_character * score.num_characters
        assert float(outputs["nats"][row]) == pytest.approx(nats, rel=1e-5)
        assert int(outputs["num_characters"][row]) == score.num_characters
        assert int(outputs["num_unknown"][row]) == score.num_unknown


def test_exported_signatures_have_the_documented_names_types_and_shapes(exported):
    signatures = exported[0].signatures
    assert set(signatures) == {"serving_default", "step", "read", "write", "score"}

    def described(specs):
        return {name: (spec.dtype, spec.shape.as_list()) for name, spec in specs.items()}

    text = (tf.string, [None])
    states = {f"state_{n}": (tf.float32, [None, 6]) for n in range(2)}
    default, step = signatures["serving_default"], signatures["step"]
    assert described(default.structured_input_signature[1]) == {
        "text": text,
        "length": (tf.int32, []),
        "temperature": (tf.float32, []),
        "seed": (tf.int32, []),
    }
    assert described(default.structured_outputs) == {"text": text}
    ids = {"ids": (tf.int32, [None])}
    assert described(step.structured_input_signature[1]) == {**ids, **states}
    num_ids = step.structured_outputs["logits"].shape[1]
    assert described(step.structured_outputs) == {
        "logits": (tf.float32, [None, num_ids]),
        **states,
    }
    assert described(signatures["read"].structured_outputs) == {**ids, **states}


def test_an_exported_model_says_what_it_cannot_do(exported):
    signature = exported[0].signatures["serving_default"]
    numbers = {
        "length": tf.constant(5),
        "temperature": tf.constant(1.0),
        "seed": tf.constant(0),
    }
    for wrong, message in (
        ({"temperature": tf.constant(-1.0)}, r"temperature must lie in \[0, 1e\+06\]"),
        ({"temperature": tf.constant(float("inf"))}, "temperature must lie in"),
        ({"length": tf.constant(-1)}, "length must be 0 or more"),
    ):
        with pytest.raises(tf.errors.InvalidArgumentError, match=message):
            signature(text=tf.constant(["a"]), **{**numbers, **wrong})


def test_graphs_of_every_cell_hold_plain_ops_only(exported, models):
    assert_plain(exported[1])
    text, ids = tf.TensorSpec([None], tf.string), tf.TensorSpec([None], tf.int32)
    for cell in ("lstm", "gru"):
        read, step = tf.function(models[cell].read), tf.function(models[cell].step)
        assert_plain_graph(read.get_concrete_function(text).graph.as_graph_def())
        states = tf.nest.map_structure(
            tf.TensorSpec.from_tensor, models[cell].initial_states(2)
        )
        assert_plain_graph(step.get_concrete_function(ids, states).graph.as_graph_def())


def test_the_vocabulary_travels_along(model, exported):
    loaded = kerasrnn.CharacterVocabulary.load(exported[1] / "assets" / "vocabulary.txt")
    assert loaded == model.vocabulary


def test_the_default_graph_holds_no_filter(exported):
    """Sorting all scores at each step would slow down every request."""
    graph = exported[0].signatures["serving_default"].graph.as_graph_def()
    ops = {node.op for function in graph.library.function for node in function.node_def}
    assert "TopKV2" not in ops
    assert "ArgMax" in ops

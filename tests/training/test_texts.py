"""Training of models that write texts: every way to train ends with the same weights."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import kerasrnn
from kerasrnn.text.tokens import END_ID, START_ID
from kerasrnn.training.feedback import make_feedback
from tests.small_models import make_seq2seq

SOURCES = ["abc", "éab", "b", "ca"]
TARGETS = ["no yes", "été", "", "yes yes no"]


def make(**options):
    return make_seq2seq(cell="vanilla", bidirectional=False, **options)


@pytest.fixture(scope="module")
def first_model():
    return make()


def batches_of(model, **options):
    return model.make_batches(SOURCES, TARGETS, **{"batch_size": 4, **options})


@pytest.fixture(scope="module")
def batch(first_model):
    """All pairs: inputs and targets."""
    return next(iter(batches_of(first_model)))


def updated(batch, model=None, **options):
    """The weights after an eager update, and its loss."""
    model = model or make()
    model.compile(keras.optimizers.SGD(1.0), run_eagerly=True, **options)
    return model.get_weights(), model.train_on_batch(*batch)[0], model.get_weights()


def assert_close(found, expected, same=True):
    close = [np.allclose(a, b, atol=1e-5) for a, b in zip(found, expected, strict=True)]
    assert all(close) is same


@pytest.fixture(scope="module")
def plain(batch):
    return updated(batch)


def test_the_loss_is_the_mean_over_all_tokens_and_ends(first_model, plain, batch):
    _, loss, _ = plain
    log_p = tf.nn.log_softmax(first_model(batch[0])).numpy()
    taken = np.take_along_axis(log_p, batch[1].numpy()[..., None], -1)[..., 0]
    counts = batch[1].numpy() != 0
    assert counts.sum() == 2 + 1 + 0 + 3 + 4
    assert loss == pytest.approx(-taken[counts].mean(), rel=1e-5)


def test_fit_and_train_make_the_same_steps():
    histories, weights = [], []
    for way in ("fit", "train"):
        model = make(dropout=0.2)
        model.compile(keras.optimizers.Adam(0.05), metrics=["accuracy"], clipvalue=0.1)
        data = batches_of(model, batch_size=2, seed=None)
        fit = model.fit if way == "fit" else lambda *a, m=model, **k: kerasrnn.train(m, *a, **k)
        histories.append(fit(data, epochs=2, verbose=0, validation_data=data).history)
        weights.append(model.get_weights())
    assert histories[0].keys() == histories[1].keys()
    assert histories[0]["loss"][1] < histories[0]["loss"][0]
    for name, values in histories[0].items():
        np.testing.assert_allclose(histories[1][name], values, rtol=1e-5)
    assert_close(*weights)


def test_padding_moves_no_weight(batch, plain):
    x, targets = batch
    padded = {name: tf.pad(ids, [[0, 0], [0, 3]]) for name, ids in x.items()}
    _, loss, weights = updated((padded, tf.pad(targets, [[0, 0], [0, 3]])))
    assert loss == pytest.approx(plain[1], rel=1e-5)
    assert_close(weights, plain[2])


def test_parts_of_a_batch_make_the_same_step(batch, plain):
    _, loss, weights = updated(batch, parallel_parts=2)
    assert loss == pytest.approx(plain[1], rel=1e-5)
    assert_close(weights, plain[2])


def test_the_gradient_is_clipped_to_the_norm_that_is_asked_for(batch):
    before, _, after = updated(batch, global_clipnorm=1e-2)
    squares = sum(np.sum((a - b) ** 2) for a, b in zip(after, before, strict=True))
    assert np.sqrt(squares) == pytest.approx(1e-2, rel=1e-3)


def test_a_truncation_is_that_of_encoder_and_decoder(batch, plain):
    """With one step between cuts, recurrent kernels still learn, but others move."""
    _, loss, weights = updated(batch, truncation=kerasrnn.TruncatedBPTT(1))
    assert loss == pytest.approx(plain[1], rel=1e-5)
    assert_close(weights, plain[2], same=False)
    _, _, weights = updated(batch, truncation=kerasrnn.TruncatedBPTT(50))
    assert_close(weights, plain[2])


def test_label_smoothing_is_that_of_keras(first_model, batch):
    _, loss, _ = updated(batch, label_smoothing=0.1)
    of_keras = keras.losses.CategoricalCrossentropy(
        from_logits=True, label_smoothing=0.1, reduction=None
    )
    losses = of_keras(tf.one_hot(batch[1], 8), first_model(batch[0])).numpy()
    assert loss == pytest.approx(losses[batch[1].numpy() != 0].mean(), rel=1e-5)


def logits_fed_back(model, x):
    """Logits where the most probable token that can be written is fed back by hand."""
    states, memory = model.start(x["source"], training=False)
    ids, outputs = tf.fill([len(x["inputs"])], START_ID), []
    for _ in range(x["inputs"].shape[1]):
        logits, states = model.step(memory, ids, states)
        ids = tf.argmax(logits[:, END_ID:], -1, tf.int32) + END_ID
        outputs.append(logits)
    return tf.stack(outputs, 1).numpy()


@pytest.mark.parametrize("options", [{}, {"cell": "vanilla", "num_layers": 2}])
def test_without_teacher_forcing_it_reads_what_it_wrote(batch, options):
    model = make_seq2seq(**options)
    x, targets = batch
    counts = targets.numpy() != 0
    expected = logits_fed_back(model, x)
    feedback = make_feedback(1.0, x["inputs"], "greedy", True, tf.constant([0, 0]))
    found = model(x, feedback=feedback).numpy()
    np.testing.assert_allclose(found[counts], expected[counts], atol=1e-5)
    never = make_feedback(0.0, x["inputs"], "greedy", True, tf.constant([0, 0]))
    np.testing.assert_allclose(
        model(x, feedback=never).numpy()[counts], model(x).numpy()[counts], atol=1e-5
    )


def test_teacher_forcing_is_an_option_of_compile(batch, plain):
    model = make()
    expected = logits_fed_back(model, batch[0])
    log_p = tf.nn.log_softmax(expected).numpy()
    taken = np.take_along_axis(log_p, batch[1].numpy()[..., None], -1)[..., 0]
    _, loss, _ = updated(batch, model, teacher_forcing=0.0)
    assert loss == pytest.approx(-taken[batch[1].numpy() != 0].mean(), rel=1e-5)
    _, loss, weights = updated(batch, teacher_forcing=1.0)
    assert loss == pytest.approx(plain[1], rel=1e-6)
    assert_close(weights, plain[2])


class KilledError(Exception):
    pass


class Kill(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        if batch == 1:
            raise KilledError


@pytest.mark.slow
def test_a_run_that_was_killed_ends_with_the_same_weights(tmp_path):
    options = {"epochs": 2, "verbose": 0, "checkpoint_every": 1}
    weights, losses = [], []
    for run in ("whole", "killed"):
        model = make(dropout=0.2, recurrent_dropout=0.1)
        model.compile(keras.optimizers.Adam(0.05), teacher_forcing=0.5)
        data = model.make_batches(SOURCES * 3, TARGETS * 3, batch_size=4, seed=1)
        if run == "killed":
            with pytest.raises(KilledError):
                model.fit(data, run_dir=tmp_path / run, callbacks=[Kill()], **options)
            model = make(dropout=0.2, recurrent_dropout=0.1)
            model.compile(keras.optimizers.Adam(0.05), teacher_forcing=0.5)
            data = model.make_batches(SOURCES * 3, TARGETS * 3, batch_size=4, seed=1)
        losses.append(model.fit(data, run_dir=tmp_path / run, **options).history["loss"])
        weights.append(model.get_weights())
    assert losses[0] == losses[1]
    for a, b in zip(*weights, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_saved_model_is_the_same_model(tmp_path, batch):
    model = make(attention="additive")
    model.compile(
        keras.optimizers.Adam(0.01),
        label_smoothing=0.1,
        teacher_forcing=0.5,
        global_clipnorm=1.0,
        run_eagerly=True,
    )
    model.train_on_batch(*batch)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(batch[0]), model(batch[0]))
    assert loaded.generate(SOURCES) == model.generate(SOURCES)
    assert loaded.get_config() == model.get_config()
    assert loaded.source_vocabulary.tokens == model.source_vocabulary.tokens
    assert loaded.vocabulary.tokens == model.vocabulary.tokens
    assert loaded.training_step.options == model.training_step.options
    assert loaded.loss.label_smoothing == 0.1
    config = model.get_config()
    for _ in range(2):  # it is not used up
        assert kerasrnn.Seq2Seq.from_config(config).get_config() == config


def test_ids_out_of_range_are_named_in_training(batch, first_model):
    x, targets = batch
    first_model.compile()
    wrong = tf.data.Dataset.from_tensors(({**x, "source": x["source"] + 9}, targets))
    with pytest.raises(ValueError, match="ids must lie from 0 to 7, the 8 entries"):
        first_model.evaluate(wrong, verbose=0)


def test_what_it_writes_changes_with_its_weights(batch, first_model):
    model = make()
    before = model.generate(SOURCES)
    model.compile(keras.optimizers.SGD(5.0), run_eagerly=True)
    for _ in range(3):
        model.train_on_batch(*batch)
    after = model.generate(SOURCES)
    assert after != before
    kept = first_model.get_weights()
    first_model.set_weights(model.get_weights())
    assert first_model.generate(SOURCES) == after
    first_model.set_weights(kept)

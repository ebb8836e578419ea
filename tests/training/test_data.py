"""What `fit` and `evaluate` take over windows, and what they say of anything else."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import kerasrnn
from kerasrnn.training.data import as_batches_or_stream, check_given
from tests.seeds import set_seed
from tests.small_models import WORDS

SEQUENCES, TIME, WINDOW = 8, 12, 4


@pytest.fixture
def data(rng):
    x = rng.normal(size=(SEQUENCES, TIME, 3)).astype("float32")
    return x, rng.normal(size=(SEQUENCES, TIME, 1)).astype("float32")


def make(window=WINDOW, layers=None, **options):
    set_seed(0)
    layers = layers or [kerasrnn.VanillaRNN(4, return_sequences=True), keras.layers.Dense(1)]
    model = kerasrnn.SequenceModel(layers)
    model.compile(keras.optimizers.SGD(0.1), "mse", window=window, **options)
    return model


class Batches(keras.utils.PyDataset):
    """Windows in their order, and a note of the passes."""

    def __init__(self, *arrays, size=WINDOW):
        super().__init__()
        self.arrays, self.size, self.begun, self.ended = arrays, size, 0, 0

    def __len__(self):
        return -(-self.arrays[0].shape[1] // self.size)

    def __getitem__(self, number):
        part = slice(number * self.size, (number + 1) * self.size)
        return tuple(array[:, part] for array in self.arrays)

    def on_epoch_begin(self):
        self.begun += 1

    def on_epoch_end(self):
        self.ended += 1


def trained(model, *data, **options):
    model.fit(*data, epochs=2, verbose=0, batch_size=options.pop("batch_size", None), **options)
    return model.get_weights()


def assert_same(weights, expected):
    for found, wanted in zip(weights, expected, strict=True):
        np.testing.assert_array_equal(found, wanted)


@pytest.fixture
def batches(data):
    """Windows of four, four and three steps, and a weight for each step."""
    x, y = (array[:, : TIME - 1] for array in data)
    steps = np.arange(SEQUENCES * (TIME - 1), dtype="float32")
    return Batches(x, y, steps.reshape(SEQUENCES, TIME - 1))


@pytest.fixture
def dataset(batches):
    """The same windows, as a dataset."""
    signature = (
        tf.TensorSpec([None, None, 3]),
        tf.TensorSpec([None, None, 1]),
        tf.TensorSpec([None, None]),
    )
    return tf.data.Dataset.from_generator(
        lambda: (batches[n] for n in range(3)), output_signature=signature
    ).apply(tf.data.experimental.assert_cardinality(3))


@pytest.mark.slow
def test_a_py_dataset_is_read_as_a_dataset_of_the_same_windows(batches, dataset):
    found, expected = make(), make()
    options = {"epochs": 2, "verbose": 0}
    validation_data = Batches(*batches.arrays)
    history = found.fit(batches, validation_data=validation_data, **options).history
    assert batches.begun == batches.ended == 2
    assert_same(found.get_weights(), trained(expected, dataset))
    score = expected.evaluate(dataset, verbose=0)
    assert found.evaluate(batches, verbose=0) == score == history["val_loss"][-1]
    by_train = make()
    kerasrnn.train(by_train, batches, **options)
    assert batches.begun == batches.ended == 2 + 1 + 2
    for weights, wanted in zip(by_train.get_weights(), expected.get_weights(), strict=True):
        np.testing.assert_allclose(weights, wanted, atol=1e-6)


def test_batches_of_a_py_dataset_may_differ_in_length(data):
    x, y = data
    parts = [slice(0, 4), slice(4, 7), slice(7, 11)]

    class Uneven(Batches):
        def __len__(self):
            return 3

        def __getitem__(self, number):
            return x[:, parts[number]], y[:, parts[number]]

    found, expected = make(), make(run_eagerly=True)
    found.fit(Uneven(x, y), verbose=0)
    for part in parts:
        expected.train_on_batch(x[:, part], y[:, part])
    for weights, wanted in zip(found.get_weights(), expected.get_weights(), strict=True):
        np.testing.assert_allclose(weights, wanted, atol=1e-6)
    with pytest.raises(ValueError, match="Each batch is one window, but a batch has 12 steps"):
        make().fit(Batches(x, y, size=TIME), verbose=0)


KINDS = {
    "ragged": lambda rows: tf.RaggedTensor.from_row_lengths(
        np.concatenate(rows), [len(row) for row in rows]
    ),
    "lists": lambda rows: [row.tolist() for row in rows],
    "objects": lambda rows: np.array([*rows, None], object)[:-1],
    "tensors": lambda rows: tf.constant(np.stack(rows)),
}


def windows(stream):
    """What a model is given of a stream; lists are in double precision at first."""
    found = list(stream.windows(WINDOW).as_numpy_iterator())
    return tf.nest.map_structure(
        lambda a: a.astype("float32") if a.dtype == "float64" else a, found
    )


def assert_same_windows(stream, expected):
    tf.nest.map_structure(np.testing.assert_array_equal, windows(stream), windows(expected))


@pytest.mark.parametrize("kind", KINDS)
def test_sequences_of_any_lengths_and_kinds_are_those_of_a_stream(data, kind):
    lengths = [TIME] * SEQUENCES if kind == "tensors" else range(5, 5 + SEQUENCES)
    x, y = ([a[:n] for a, n in zip(arrays, lengths, strict=True)] for arrays in data)
    given = KINDS[kind](x), KINDS[kind](y)
    check_given(*given, None)
    stream = as_batches_or_stream(*given, None, None)
    assert stream.batch_size == SEQUENCES
    assert_same_windows(stream, kerasrnn.Stream(x, y, batch_size=SEQUENCES))


@pytest.mark.slow
def test_fit_reads_such_sequences_as_a_stream(data):
    lengths = range(5, 5 + SEQUENCES)
    x, y = ([a[:n] for a, n in zip(arrays, lengths, strict=True)] for arrays in data)
    expected = trained(make(), kerasrnn.Stream(x, y, batch_size=SEQUENCES))
    for kind in ("ragged", "lists"):
        found = trained(make(), KINDS[kind](x), KINDS[kind](y))
        for weights, wanted in zip(found, expected, strict=True):
            np.testing.assert_allclose(weights, wanted, atol=1e-6)


@pytest.mark.parametrize("window", [WINDOW, TIME, None])
def test_one_weight_a_sequence_is_the_weight_of_all_its_steps(data, rng, window):
    x, y = data
    weights = rng.uniform(0.5, 2, SEQUENCES)
    model = make(window)
    expected = np.mean(weights[:, None] * np.square(model(x).numpy() - y)[..., 0])
    assert model.evaluate(x, y, sample_weight=weights, verbose=0) == pytest.approx(expected)


@pytest.mark.slow
@pytest.mark.parametrize("window", [WINDOW, None])
def test_training_takes_one_weight_a_sequence(data, rng, window):
    x, y = data
    weights = rng.uniform(0.5, 2, SEQUENCES)
    by_step = np.repeat(weights[:, None], TIME, 1)
    found, expected = (
        trained(make(window), x, y, sample_weight=w, shuffle=False) for w in (weights, by_step)
    )
    assert_same(found, expected)


def test_a_stream_takes_one_weight_a_sequence(data, rng):
    weights = rng.uniform(0.5, 2, SEQUENCES)
    by_step = np.repeat(weights[:, None], TIME, 1)
    expected = kerasrnn.Stream(*data, by_step, batch_size=SEQUENCES)
    for given in (weights, weights[:, None]):
        stream = kerasrnn.Stream(*data, given, batch_size=SEQUENCES)
        assert_same_windows(stream, expected)


def test_keras_own_model_has_the_loss_of_one_weight_a_sequence(data, rng):
    x, y = data
    weights = rng.uniform(0.5, 2, SEQUENCES)
    model = make(TIME)
    model(x)
    own = keras.Sequential([keras.layers.SimpleRNN(4, return_sequences=True)])
    own.add(keras.layers.Dense(1))
    own.build((None, None, 3))
    own.set_weights(model.get_weights())
    own.compile("sgd", "mse")
    found = model.evaluate(x, y, sample_weight=weights, verbose=0)
    by_step = np.repeat(weights[:, None], TIME, 1)  # Keras takes no weights (sequences,)
    expected = own.evaluate(x, y, sample_weight=by_step, verbose=0)
    assert found == pytest.approx(expected, rel=1e-5)


def generator():
    while True:
        yield np.ones([2, WINDOW, 3]), np.ones([2, WINDOW, 1])


X, Y = np.ones([4, 8, 3], "float32"), np.ones([4, 8, 1], "float32")
WHOLE = tf.data.Dataset.from_tensors((X[:, :WINDOW], Y[:, :WINDOW]))
REFUSED = {
    "nothing": ((None, None), "x must be a kerasrnn.Stream.* got x of type NoneType"),
    "no targets": ((X, None), "x must be .* got x of type ndarray and y of type NoneType"),
    "a text": (("a", Y), "x must be .* got x of type str"),
    "a dictionary": (({"a": X}, Y), "x must be arrays or batches, got a dictionary"),
    "a number": ((3, Y), "x must be .* got x of type int"),
    "a generator": ((generator(), None), "x must be .* got a generator"),
    "few targets": ((X, Y[:2]), "targets must be as many"),
    "short targets": ((X, Y[:, :5]), "targets must be as many and as long"),
    "texts": ((np.full([4, 8, 3], "a"), Y), "inputs must be arrays of real numbers.*<U1"),
    "complex numbers": ((X + 1j, Y), "inputs must be arrays of real numbers.*complex"),
    "no sequences": ((X[:0], Y[:0]), "at least one sequence, got none"),
    "no steps": ((X[:, :0], Y[:, :0]), "at least one step"),
    "numbers without time": ((X[:, 0, 0], Y[:, 0, 0]), r"\(time, ...\), got .* shape \(\)"),
    "features that differ": (([X[0], X[0, :, :2]], [Y[0]] * 2), "the same features"),
    "a second y": ((WHOLE, Y), "already contains y. Do not pass y"),
}
WEIGHTS = {
    "few": (np.ones(3), "sample_weight must be as many"),
    "short": (np.ones([4, 5]), "sample_weight must be as many and as long"),
    "many axes": (np.ones([4, 8, 1]), "sample_weight must be as many and as long"),
    "texts": (["a"] * 4, "sample_weight must be numbers"),
    "objects": ([{}] * 4, "sample_weight must be numbers"),
    "nan": (np.full(4, np.nan), "sample_weight must be finite"),
    "infinite": (np.full([4, 8], np.inf), "sample_weight must be finite"),
    "a number": (2.0, "sample_weight must be arrays, one for each sequence, got float"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_be_windows_is_said_in_one_line(kind):
    given, message = REFUSED[kind]
    model = make()
    calls = [
        lambda: model.fit(*given, verbose=0),
        lambda: model.evaluate(*given, verbose=0),
        lambda: model.fit(X, Y, validation_data=given, verbose=0),
    ]
    for call in calls:
        with pytest.raises(ValueError, match=message) as raised:
            call()
        assert "\n" not in str(raised.value)


@pytest.mark.parametrize("kind", WEIGHTS)
def test_weights_that_do_not_fit_are_said_in_one_line(kind):
    weights, message = WEIGHTS[kind]
    calls = [
        lambda: make().fit(X, Y, sample_weight=weights, verbose=0),
        lambda: make().evaluate(X, Y, sample_weight=weights, verbose=0),
        lambda: kerasrnn.Stream(list(X), list(Y), weights, batch_size=2),
    ]
    for call in calls:
        with pytest.raises(ValueError, match=message) as raised:
            call()
        assert "\n" not in str(raised.value)


@pytest.mark.parametrize("window", [WINDOW, None])
def test_class_weight_is_refused_where_every_step_has_an_output(window):
    given = {0: 1.0, 1: 2.0}
    message = r"class_weight is one weight a sequence.* Use sample_weight"
    batch = X[:, :WINDOW], Y[:, :WINDOW]
    for call in (
        lambda: make(window).fit(X, Y, class_weight=given, verbose=0),
        lambda: make(window).fit(WHOLE, class_weight=given, verbose=0),
        lambda: make(window).train_on_batch(*batch, class_weight=given),
    ):
        with pytest.raises(ValueError, match=message):
            call()


def test_class_weight_counts_where_a_sequence_has_one_output(data):
    x, y = data[0], np.arange(SEQUENCES) % 2
    by_class, by_sequence = {0: 1.0, 1: 3.0}, np.where(y == 1, 3.0, 1.0)
    weights = []
    for options in ({"class_weight": by_class}, {"sample_weight": by_sequence}):
        model = make(None, [kerasrnn.VanillaRNN(4), keras.layers.Dense(1)])
        model.fit(x, y[:, None], shuffle=False, verbose=0, **options)
        weights.append(model.get_weights())
    assert_same(*weights)


def test_class_weight_goes_with_a_classifier_that_is_not_built_yet():
    ids, labels = np.arange(20).reshape(4, 5) % 5 + 1, np.arange(4) % 2
    losses = []
    for options in (
        {"class_weight": {0: 1.0, 1: 2.0}},
        {"sample_weight": np.where(labels, 2.0, 1.0)},
    ):
        set_seed(0)
        model = kerasrnn.TextClassifier(WORDS, embedding_dim=4, units=3, bidirectional=False)
        model.compile("sgd", run_eagerly=True)
        losses.append(model.train_on_batch(ids, labels, **options))
    np.testing.assert_allclose(*losses)


@pytest.mark.parametrize("window", [WINDOW, None])
def test_ids_are_integers(window):
    ids = np.arange(32).reshape(4, 8) % 5
    layers = [keras.layers.Embedding(5, 3), kerasrnn.VanillaRNN(4, return_sequences=True)]
    model = make(window, [*layers, keras.layers.Dense(1)])
    for given in ((ids + 0.5, Y), (ids * 1.0, Y)):
        for method in (model.fit, model.evaluate):
            with pytest.raises(ValueError, match="takes integers as ids, got .* float"):
                method(*given, verbose=0)
    model.evaluate(ids, Y, verbose=0)
    with pytest.raises(ValueError, match="tokens must be integers"):
        kerasrnn.Stream.from_tokens(np.arange(40) * 0.5, 2)


def test_ragged_batches_need_a_window():
    ragged = tf.RaggedTensor.from_row_lengths(X.reshape(32, 3), [5, 11, 8, 8])
    targets = tf.RaggedTensor.from_row_lengths(Y.reshape(32, 1), [5, 11, 8, 8])
    message = r"A batch must be whole, got a ragged one.* window="
    with pytest.raises(ValueError, match=message):
        make(None).fit(ragged, targets, verbose=0)
    for window in (None, WINDOW):
        with pytest.raises(ValueError, match=message):
            make(window).fit(tf.data.Dataset.from_tensors((ragged, targets)), verbose=0)

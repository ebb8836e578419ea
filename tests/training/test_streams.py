"""Streams: what stands in each window, and that every step counts once."""

import numpy as np
import pytest
import tensorflow as tf

import kerasrnn
from kerasrnn.training.data import start_afresh


def read(stream, window, stride=None):
    dataset = stream.windows(window, stride)
    batches = list(dataset.as_numpy_iterator())
    assert len(batches) == int(dataset.cardinality())
    return batches


@pytest.mark.parametrize(("window", "stride"), [(4, None), (4, 4), (5, 2), (3, 1), (100, 7)])
@pytest.mark.parametrize("lengths", [[9, 9], [1, 12, 5, 3, 8], [30, 2, 2, 2]])
def test_every_step_counts_once_and_keeps_its_order(window, stride, lengths):
    sequences = [100 * (n + 1) + np.arange(length) for n, length in enumerate(lengths)]
    stream = kerasrnn.Stream(sequences, [-s for s in sequences], batch_size=2)
    counted = []
    current = [None, None]
    for inputs, targets, weights in read(stream, window, stride):
        np.testing.assert_array_equal(inputs["inputs"], -targets)
        for place in range(2):
            steps = inputs["inputs"][place][weights[place] > 0].tolist()
            counted += steps
            if not steps:
                continue
            assert inputs["reset"][place] == (inputs["inputs"][place][0] % 100 == 0)
            if inputs["reset"][place]:
                current[place] = steps[0] // 100
            assert {step // 100 for step in steps} == {current[place]}
    assert sorted(counted) == np.concatenate(sequences).tolist()
    by_sequence = [[c for c in counted if c // 100 == n + 1] for n in range(len(lengths))]
    assert all(steps == sorted(steps) for steps in by_sequence)


def test_windows_of_a_sequence_begin_a_stride_apart():
    stream = kerasrnn.Stream([np.arange(10)], [np.arange(10)], batch_size=1)
    starts = [batch[0]["inputs"][0, 0] for batch in read(stream, 4, 3)]
    assert starts == [0, 3, 6]
    weights = [batch[2][0].tolist() for batch in read(stream, 4, 3)]
    assert weights == [[1, 1, 1, 1], [0, 1, 1, 1], [0, 1, 1, 1]]


def test_a_window_beyond_the_longest_sequence_costs_nothing():
    stream = kerasrnn.Stream([np.arange(4), np.arange(10)], batch_size=2)
    (batch,) = read(stream, 10**9)
    assert batch[0]["inputs"].shape == (2, 9)


def test_tokens_become_contiguous_streams():
    stream = kerasrnn.Stream.from_tokens(np.arange(100), batch_size=3)
    batches = read(stream, 11)
    assert len(batches) == 3
    joined = np.concatenate([inputs["inputs"] for inputs, _, _ in batches], 1)
    np.testing.assert_array_equal(joined, np.arange(99).reshape(3, 33))
    for inputs, targets, weights in batches:
        np.testing.assert_array_equal(targets, inputs["inputs"] + 1)
        assert weights.all()


def test_values_with_features_and_weights(rng):
    x, y = rng.normal(size=(2, 7, 3)).astype("float32"), rng.normal(size=(2, 7, 1))
    weights = rng.uniform(size=(2, 7)).astype("float32")
    stream = kerasrnn.Stream(list(x), list(y), list(weights), batch_size=2)
    batches = read(stream, 4)
    np.testing.assert_array_equal(
        np.concatenate([b[0]["inputs"] for b in batches], 1)[:, :7], x
    )
    np.testing.assert_array_equal(np.concatenate([b[2] for b in batches], 1)[:, :7], weights)
    assert batches[1][2][:, 3].tolist() == [0, 0]  # the padding does not count


def test_a_memory_map_is_read_window_by_window(tmp_path):
    np.arange(1000, dtype="uint16").tofile(tmp_path / "tokens")
    tokens = np.memmap(tmp_path / "tokens", dtype="uint16", mode="r")
    stream = kerasrnn.Stream.from_tokens(tokens, batch_size=9)
    assert all(isinstance(x, np.memmap) for x in stream.inputs)
    assert read(stream, 10)[0][0]["inputs"].dtype == np.uint16


def test_random_windows_cover_every_step_and_differ_between_epochs():
    window = kerasrnn.RandomWindow(10, standard_deviation=2.0, seed=3)
    stream = kerasrnn.Stream.from_tokens(np.arange(1001), batch_size=2)
    dataset = stream.windows(window)
    epochs = [list(dataset.as_numpy_iterator()) for _ in range(2)]
    lengths = [[inputs["inputs"].shape[1] for inputs, _, _ in epoch] for epoch in epochs]
    assert lengths[0] != lengths[1]
    for epoch in epochs:
        joined = np.concatenate([inputs["inputs"] for inputs, _, _ in epoch], 1)
        np.testing.assert_array_equal(joined, np.arange(1000).reshape(2, 500))
    assert len(epochs[0]) == len(epochs[1]) == int(dataset.cardinality())
    assert 8 < np.mean(lengths) < 12
    assert np.std(lengths) > 1
    again = [inputs["inputs"].shape[1] for inputs, _, _ in read(stream, window)]
    assert again == lengths[0]


def test_the_first_batch_of_a_dataset_resets_every_state():
    x = np.zeros((6, 3), "float32")
    dataset = tf.data.Dataset.from_tensor_slices((x, x)).batch(2)
    resets = [inputs["reset"].numpy().tolist() for inputs, _ in start_afresh(dataset)]
    assert resets == [[True, True], [False, False], [False, False]]
    marked = tf.data.Dataset.from_tensors(({"inputs": x, "reset": [1, 0, 0, 1, 0, 0]}, x))
    marked = marked.repeat(2)
    resets = [inputs["reset"].numpy().tolist() for inputs, _ in start_afresh(marked)]
    assert resets == [[True] * 6, [True, False, False, True, False, False]]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda s: s.windows(0), "window must be a positive integer, got window=0"),
        (lambda s: s.windows(4, 0), "stride must be a positive integer, got stride=0"),
        (lambda s: s.windows(4, 5), "stride must not be above window, got stride=5"),
        (lambda s: s.windows(kerasrnn.RandomWindow(9), 3), "needs a window of fixed length"),
        (lambda s: s.windows(kerasrnn.RandomWindow(9)), "the same length for each place"),
        (lambda _: kerasrnn.Stream([[1, 2]], batch_size=2), "need as many sequences, got 1"),
        (lambda _: kerasrnn.Stream([[1]], batch_size=1), "at least one step"),
        (lambda _: kerasrnn.Stream([[1, 2]], [[1]], batch_size=1), "targets must be"),
        (lambda _: kerasrnn.Stream.from_tokens(np.arange(3), 5), "3 tokens are too few"),
        (lambda _: kerasrnn.Stream.from_tokens(np.arange(3), 0), "batch_size must be"),
        (lambda _: kerasrnn.RandomWindow(3), "min_length must not be above mean"),
        (lambda _: kerasrnn.RandomWindow(9, full_probability=2), "full_probability must lie"),
        (lambda _: kerasrnn.RandomWindow(9, -1.0), "standard_deviation must be a number"),
    ],
)
def test_mistakes_are_named(call, message):
    sequences = [np.arange(5), np.arange(7)]
    with pytest.raises(ValueError, match=message):
        call(kerasrnn.Stream(sequences, batch_size=2))


def test_without_a_batch_size_all_sequences_are_read_side_by_side(rng):
    x = rng.normal(size=(6, 5, 2))
    assert kerasrnn.Stream(x, x).batch_size == 6
    assert kerasrnn.Stream(np.zeros((40, 5)), np.zeros((40, 5))).batch_size == 32


def test_one_target_a_sequence_is_no_stream(rng):
    with pytest.raises(ValueError, match="a target for every step.*call fit"):
        kerasrnn.Stream(rng.normal(size=(6, 5, 2)), [np.zeros(1)] * 6)

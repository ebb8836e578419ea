"""Names the part of speech of each word: an output at every step of a sequence.

    python -m examples.tagging

The words are those of `examples/tagged_words.py`. A bidirectional LSTM reads each sentence in
both directions. It is compared with the simplest tagger: each word gets its most frequent tag.

A word that occurs only once in training, or never, is read as its last three letters. So the
model can name the part of speech of a word that it has never seen. The sizes, the rates and
the number of epochs were chosen on the validation split.
"""

import dataclasses
import sys
import time
from collections import Counter
from collections.abc import Container, Iterable, Sequence

from apps.quiet import quiet_tensorflow

with quiet_tensorflow():
    import keras
    import numpy as np
    import tensorflow as tf

    import kerasrnn

from apps import cli
from examples import experiment, tagged_words
from examples.tagged_words import TAGS, Sentence, Splits, tags_of, words_of

NUM_ENDING_LETTERS = 3
PADDING_ID, UNKNOWN_ID = 0, 1
UNITS, EMBEDDING_DIM, DROPOUT, BATCH_SIZE, LEARNING_RATE = 64, 64, 0.5, 32, 0.005
LENGTHS = (16, 32, 64)
"""Sentences are padded to the next of these lengths; longer ones to the longest of all."""
PATIENCE = 2
"""Training stops after this many epochs without a better validation accuracy."""


@dataclasses.dataclass(frozen=True)
class Options:
    """Trains a tagger, and measures its accuracy on the test split."""

    epochs: int = 10
    """The maximum number of epochs."""
    seed: int = 0
    """Of the initial weights and the order of the sentences."""


def ending(word: str) -> str:
    """The last letters of a word, after a hyphen, which words do not have."""
    return "-" + word[-NUM_ENDING_LETTERS:]


def number_words(sentences: Iterable[Sentence]) -> dict[str, int]:
    """Ids of words that occur more than once, and of the endings that several others share."""
    counts = Counter(words_of(sentences))
    words = sorted(word for word, count in counts.items() if count > 1)
    endings = Counter(ending(word) for word, count in counts.items() if count == 1)
    shared = sorted(end for end, count in endings.items() if count > 1)
    return {entry: number for number, entry in enumerate([*words, *shared], UNKNOWN_ID + 1)}


def encode(words: Iterable[str], ids: dict[str, int]) -> list[int]:
    """The id of each word, else of its ending, else `UNKNOWN_ID`."""
    return [ids.get(word, ids.get(ending(word), UNKNOWN_ID)) for word in words]


def make_batches(
    sentences: Sequence[Sentence], ids: dict[str, int], seed: int | None = None
) -> tf.data.Dataset:
    """Batches of sentences of similar length, padded at the end with `PADDING_ID`.

    Args:
        sentences: what they hold.
        ids: of words and endings.
        seed: of the order; it differs in each epoch. Default: `None`, a fixed order.

    Returns:
        A dataset of ids and the numbers of the tags, both `(batch, time)`.
    """
    lengths = [len(s.words) for s in sentences]
    bounds = [*(length for length in LENGTHS if length < max(lengths)), max(lengths)]
    starts = [bound + 1 for bound in bounds]
    inputs = tf.ragged.constant([encode(s.words, ids) for s in sentences])
    targets = tf.ragged.constant([[TAGS.index(tag) for tag in s.tags] for s in sentences])
    dataset = tf.data.Dataset.from_tensor_slices((inputs, targets))
    if seed is not None:
        dataset = dataset.shuffle(len(sentences), seed=seed)
    dataset = dataset.map(lambda *rows: tuple(map(tf.convert_to_tensor, rows)))
    dataset = dataset.bucket_by_sequence_length(
        lambda words, _: tf.shape(words)[0],
        bucket_boundaries=starts,
        bucket_batch_sizes=[BATCH_SIZE] * (len(starts) + 1),
        pad_to_bucket_boundary=True,
    )
    counts, _ = np.histogram(lengths, [0, *starts])
    num_batches = int(np.ceil(counts / BATCH_SIZE).sum())
    return dataset.apply(tf.data.experimental.assert_cardinality(num_batches))


def make_model(num_ids: int) -> kerasrnn.SequenceModel:
    """A bidirectional LSTM with logits of the tags at every step. Padding is masked."""
    lstm = kerasrnn.LSTM(UNITS, return_sequences=True)
    model = kerasrnn.SequenceModel(
        [
            keras.layers.Embedding(num_ids, EMBEDDING_DIM, mask_zero=True),
            keras.layers.Dropout(DROPOUT),
            keras.layers.Bidirectional(lstm),
            keras.layers.Dropout(DROPOUT),
            keras.layers.Dense(len(TAGS)),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    optimizer = keras.optimizers.Adam(LEARNING_RATE)
    model.compile(optimizer, loss, metrics=["accuracy"], global_clipnorm=1.0)
    return model


def train(splits: Splits, ids: dict[str, int], options: Options) -> kerasrnn.SequenceModel:
    """The model after the epoch that is best on the validation split."""
    keras.utils.set_random_seed(options.seed)
    model = make_model(UNKNOWN_ID + 1 + len(ids))
    stop = keras.callbacks.EarlyStopping(
        "val_accuracy", mode="max", patience=PATIENCE, restore_best_weights=True
    )
    tell = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: print(
            f"epoch {epoch + 1}: validation accuracy {logs['val_accuracy']:.2%}", flush=True
        )
    )
    model.fit(
        make_batches(splits.train, ids, seed=options.seed),
        validation_data=make_batches(splits.validation, ids),
        epochs=options.epochs,
        callbacks=[stop, tell],
        verbose=0,
    )
    return model


def predict(
    model: kerasrnn.SequenceModel, sentences: Sequence[Sentence], ids: dict[str, int]
) -> list[str]:
    """The model's tags of all words."""
    padded = tf.ragged.constant([encode(s.words, ids) for s in sentences]).to_tensor(PADDING_ID)
    numbers = model.predict(padded, batch_size=BATCH_SIZE, verbose=0).argmax(-1)
    rows = zip(numbers, sentences, strict=True)
    return [TAGS[number] for row, s in rows for number in row[: len(s.words)]]


def predict_most_frequent(
    training: Iterable[Sentence], sentences: Iterable[Sentence], by_ending: bool = False
) -> list[str]:
    """The tag that each word has most often in training.

    Args:
        training: where tags are counted.
        sentences: where they are predicted.
        by_ending: whether an unseen word gets the most frequent tag of the words with its
            ending. Default: `False`, the most frequent tag of all words.
    """
    training = list(training)
    words, tags = words_of(training), tags_of(training)
    ((other, _),) = Counter(tags).most_common(1)
    of_words = _most_frequent(words, tags)
    of_endings = _most_frequent(map(ending, words), tags) if by_ending else {}
    return [
        of_words.get(word, of_endings.get(ending(word), other)) for word in words_of(sentences)
    ]


def _most_frequent(entries: Iterable[str], tags: Iterable[str]) -> dict[str, str]:
    pairs = Counter(zip(entries, tags, strict=True))
    return {entry: tag for (entry, tag), _ in reversed(pairs.most_common())}


def accuracy(
    predicted: Iterable[str], sentences: Sequence[Sentence], without: Container[str] = ()
) -> float:
    """The share of words with the right tag; words in `without` do not count."""
    rows = zip(predicted, tags_of(sentences), words_of(sentences), strict=True)
    return float(np.mean([found == tag for found, tag, word in rows if word not in without]))


def run(options: Options) -> None:
    cli.check_numbers(options, "epochs", 1, cli.COUNT)
    cli.check_numbers(options, "seed", 0, cli.COUNT)
    start = time.perf_counter()
    splits = tagged_words.load()
    seen = set(words_of(splits.train))
    for name, part in splits._asdict().items():
        words = words_of(part)
        unseen = sum(word not in seen for word in words)
        print(f"{name}: {len(part):,} sentences, {len(words):,} words, {unseen:,} unseen")
    ids = number_words(splits.train)
    model = train(splits, ids, options)
    found = {
        "most frequent tag": predict_most_frequent(splits.train, splits.test),
        "the same, else of the ending": predict_most_frequent(splits.train, splits.test, True),
        "bidirectional LSTM": predict(model, splits.test, ids),
    }
    rows = [
        (name, *(f"{accuracy(tags, splits.test, words):.2%}" for words in ((), seen)))
        for name, tags in found.items()
    ]
    experiment.print_table(("accuracy on the test split", "all words", "unseen words"), rows)
    print(f"{time.perf_counter() - start:.0f} seconds")


if __name__ == "__main__":
    command = cli.Command(Options, run)
    sys.exit(cli.main("examples.tagging", __doc__.splitlines()[0], {"run": command}))

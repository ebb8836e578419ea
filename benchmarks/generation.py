"""Characters a second of `generate`, beside loops that call the model once per character.

One layer of 512 units, random weights, 65 characters. The loops are written as
tutorials write them: a compiled step from characters to characters, a compiled
step from ids to ids, and the model itself, called as a function. All take turns
in one process, with one prompt and with 64.

Beside them stand the matrix products that no way can avoid, alone. For a single prompt, they
take about as long as it takes to read all weights once.
"""

import functools
from collections.abc import Iterator

from apps.quiet import quiet_tensorflow

with quiet_tensorflow():
    import keras
    import numpy as np
    import tensorflow as tf

    import kerasrnn

from benchmarks.options import Options
from benchmarks.tables import Table
from benchmarks.timing import time_calls

UNITS, CHARACTERS = 512, "".join(map(chr, range(32, 97)))
LENGTH, QUICK_LENGTH = 1000, 20
NUM_PROMPTS, QUICK_NUM_PROMPTS = (1, 64), (2,)
TEMPERATURE = 0.8
PRODUCTS = "matrix products alone"


def make_model():
    keras.utils.set_random_seed(0)
    model = kerasrnn.CharLanguageModel(CHARACTERS, units=UNITS)
    model(tf.zeros([1, 1], tf.int32))
    return model


def loop_over_characters(model):
    """A compiled step that takes and gives characters."""
    known = [c.encode() for c in model.vocabulary.characters]
    ids_from_chars = keras.layers.StringLookup(vocabulary=known[1:], mask_token=None)
    chars_from_ids = keras.layers.StringLookup(
        vocabulary=known[1:], mask_token=None, invert=True
    )
    barred = tf.constant([-float("inf")] + [0.0] * (len(known) - 1))

    @tf.function
    def one_step(inputs, states):
        ids = ids_from_chars(tf.strings.unicode_split(inputs, "UTF-8")).to_tensor()
        logits, states = model(ids, states=states, return_states=True)
        logits = logits[:, -1] / TEMPERATURE + barred
        drawn = tf.random.categorical(logits, 1)[:, 0]
        return chars_from_ids(drawn), states

    def write(num_prompts, length):
        characters, states = tf.constant(["A"] * num_prompts), model.initial_states(num_prompts)
        written = []
        for _ in range(length):
            characters, states = one_step(characters, states)
            written.append(characters)
        return tf.strings.join(written).numpy()

    return write


def loop_over_ids(model):
    """A compiled step that takes and gives ids."""

    @tf.function
    def one_step(ids, states):
        logits, states = model(ids[:, None], states=states, return_states=True)
        return tf.random.categorical(logits[:, 0] / TEMPERATURE, 1, tf.int32)[:, 0], states

    def write(num_prompts, length):
        ids, states = tf.ones([num_prompts], tf.int32), model.initial_states(num_prompts)
        written = []
        for _ in range(length):
            ids, states = one_step(ids, states)
            written.append(ids)
        return tf.stack(written).numpy()

    return write


def loop_of_calls(model):
    """The model itself, called once per character."""

    def write(num_prompts, length):
        ids, states = tf.ones([num_prompts], tf.int32), model.initial_states(num_prompts)
        written = []
        for _ in range(length):
            logits, states = model(ids[:, None], states=states, return_states=True)
            ids = tf.random.categorical(logits[:, 0] / TEMPERATURE, 1, tf.int32)[:, 0]
            written.append(ids)
        return tf.stack(written).numpy()

    return write


def whole_graph(model):
    """`generate`."""
    return lambda num_prompts, length: model.generate(
        ["A"] * num_prompts, length, TEMPERATURE, seed=0
    )


def products_alone(model, num_prompts):
    """Only the matrix products of each character, with NumPy: of the state, of the output.

    For one prompt they read each weight once, from the cache.
    """
    rng = np.random.default_rng(0)
    num_ids = len(model.vocabulary)
    h = rng.normal(size=(num_prompts, UNITS)).astype("float32")
    recurrent_kernel = rng.normal(size=(UNITS, UNITS)).astype("float32")
    output_kernel = rng.normal(size=(UNITS, num_ids)).astype("float32")
    state = np.empty_like(h)
    logits = np.empty([num_prompts, num_ids], "float32")

    def write(length):
        for _ in range(length):
            np.matmul(h, recurrent_kernel, out=state)
            np.matmul(state, output_kernel, out=logits)

    return write


def run(options: Options) -> Iterator[Table]:
    """Microseconds of a character, for each way to write."""
    model = make_model()
    length = QUICK_LENGTH if options.quick else LENGTH
    # What writes, and how many times fewer characters it writes.
    ways = {
        "generate": (whole_graph(model), 1),
        "model(ids), once per character": (loop_of_calls(model), 10),
        "compiled step, characters": (loop_over_characters(model), 2),
        "compiled step, ids": (loop_over_ids(model), 2),
    }
    table = Table(
        "generation",
        f"Generation: {UNITS} units; microseconds a step, and the ratio to generate",
        {"prompts": "{}", "way": "{}", "us a step": "{:.1f}", "characters/s": "{:,.0f}"}
        | {"us a step ratio": "{:.2f}x"},
    )
    for num_prompts in QUICK_NUM_PROMPTS if options.quick else NUM_PROMPTS:
        products = products_alone(model, num_prompts)
        calls = {
            **{
                name: functools.partial(write, num_prompts, length // divisor)
                for name, (write, divisor) in ways.items()
            },
            PRODUCTS: functools.partial(products, length),
        }
        rounds, seconds = options.rounds_of_a_row, options.seconds_of_a_row * len(calls)
        divisors = {name: divisor for name, (_, divisor) in ways.items()}
        steps = {
            name: time * divisors.get(name, 1) / length
            for name, time in time_calls(calls, rounds, seconds).items()
        }
        for name, step in steps.items():
            rate = None if name == PRODUCTS else num_prompts / step
            table.add(num_prompts, name, step * 1e6, rate, step / steps["generate"])
    yield table

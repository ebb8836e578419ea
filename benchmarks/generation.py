"""Characters a second of `generate`, beside loops that call the model once per character.

    python -m benchmarks.generation

One layer of 512 units, random weights, 65 characters. The loops are written as
tutorials write them: a compiled step from characters to characters, a compiled
step from ids to ids, and the model itself, called as a function. All take turns
in one process, with one prompt and with 64.
"""

import statistics
import time

from apps.quiet import quiet_tensorflow

with quiet_tensorflow():
    import keras
    import tensorflow as tf

    import kerasrnn

UNITS, CHARACTERS, LENGTH, ROUNDS = 512, "".join(map(chr, range(32, 97))), 1000, 7
TEMPERATURE = 0.8


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


def main():
    model = make_model()
    ways = {
        "model(ids), once per character": (loop_of_calls(model), 10),
        "compiled step, characters": (loop_over_characters(model), 2),
        "compiled step, ids": (loop_over_ids(model), 2),
        "generate": (whole_graph(model), 1),
    }
    print(f"{'prompts':>7}  {'':32}{'us a step':>10}{'characters/s':>15}{'generate is':>14}")
    for num_prompts in (1, 64):
        seconds = {name: [] for name in ways}
        for turn in range(ROUNDS + 1):
            for name, (write, divisor) in ways.items():
                start = time.perf_counter()
                write(num_prompts, LENGTH // divisor)
                if turn:  # the first one traces
                    seconds[name].append((time.perf_counter() - start) * divisor / LENGTH)
        medians = {name: statistics.median(times) for name, times in seconds.items()}
        for name, median in medians.items():
            ratio = median / medians["generate"]
            print(
                f"{num_prompts:7}  {name:32}{median * 1e6:10.1f}{num_prompts / median:15,.0f}"
                f"{ratio:13.1f}x",
                flush=True,
            )


if __name__ == "__main__":
    main()

"""How large a model is, before it is made; nothing here imports TensorFlow."""

from apps.memory import GATES, check_memory, training_parts
from apps.transduce.config import PRESETS, Train
from apps.transduce.fitting import SMALLEST_BATCH

FEWEST_TOKENS = 5
"""Of a vocabulary: the four special ones, and one to write."""


def count_weights(options: Train, num_source_tokens: int, num_target_tokens: int) -> int:
    """The weights of a model with vocabularies of these sizes."""
    units, gates, size = options.units, GATES[options.cell], options.embedding_dim
    biases = 2 if options.cell == "gru" else 1  # of a step's input and of its state
    directions = 2 if options.bidirectional else 1
    half = units // directions
    count = size * (num_source_tokens + num_target_tokens)
    for number in range(options.num_layers):
        inputs = units if number else size
        count += directions * gates * half * (inputs + half + biases)
        count += gates * units * (inputs + units + biases)
    if options.attention != "none":
        count += units * (2 * units + 1)
    if options.attention == "additive":
        count += 2 * units * units + 2 * units
    return count + num_target_tokens * (units + 1)


def check_training(options: Train) -> None:
    """Refuses a training that the memory cannot hold.

    Raises:
        UserError: it names the options that ask for too much.
    """
    # Of each step of encoder and decoder: the inputs of the gates and the output.
    of_step = options.num_layers * options.units * (GATES[options.cell] + 1)
    batch_size = options.batch_size or SMALLEST_BATCH
    parts = training_parts(
        count_weights(options, FEWEST_TOKENS, FEWEST_TOKENS),
        ("units", "num_layers", "embedding_dim"),
        2 * batch_size * of_step,  # pairs may be short: at least one step on either side
        ("batch_size", "units", "num_layers"),
    )
    check_memory(options, PRESETS[options.preset], parts)

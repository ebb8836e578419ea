"""How large a model is, before it is made; nothing here imports TensorFlow."""

from apps.chargen.config import PRESETS, Sample, Train
from apps.memory import GATES, Part, check_memory, training_parts

_WRITTEN = 8  # bytes for each character of a text that is kept until all are written


def count_weights(options: Train, num_ids: int) -> int:
    """The weights of a model with a vocabulary of `num_ids`, the unknown one included."""
    units, gates, vanilla = options.units, GATES[options.cell], options.cell == "vanilla"
    embedding_dim = options.embedding_dim or units
    biases = 2 if options.cell == "gru" else 1  # of a step's input and of its state
    count = num_ids * embedding_dim
    for number in range(options.num_layers):
        inputs = units if number else embedding_dim
        # The kernel of a vanilla first layer is the table itself, or follows it.
        kernel = 0 if vanilla and not number and options.embedding_dim is None else inputs
        count += gates * units * (kernel + units + biases)
        count += num_ids * units if number and options.residual else 0
    return count + num_ids + (0 if options.tie_weights else units * num_ids)


def check_training(options: Train, num_ids: int = 2) -> None:
    """Refuses a training that the memory cannot hold.

    Args:
        options: of the training.
        num_ids: the size of the vocabulary, or a lower bound.

    Raises:
        UserError: it names the options that ask for too much.
    """
    steps = options.batch_size * options.window
    # Of each step: the inputs of the gates and the output, which the backward pass reads.
    kept = steps * options.num_layers * options.units * (GATES[options.cell] + 1)
    parts = training_parts(
        count_weights(options, num_ids),
        ("units", "num_layers", "embedding_dim"),
        kept,
        ("batch_size", "window", "units", "num_layers"),
    )
    check_memory(options, PRESETS[options.preset], parts)


def check_sample(options: Sample) -> None:
    """Refuses texts that the memory cannot hold; a single one is shown as it is written.

    Raises:
        UserError: it names the options that ask for too much.
    """
    length = len(options.prompt)
    if options.num > 1 or options.output is not None:
        length += options.length
    part = Part("the texts take", _WRITTEN * options.num * length, ("num", "length"))
    check_memory(options, Sample(), [part])

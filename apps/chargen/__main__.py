"""`python -m apps.chargen`: train a character language model, let it write, score it."""

import sys

from apps import cli, conversion
from apps.chargen import config


def train(options: config.Train) -> None:
    from apps.chargen import data, sizes
    from apps.threads import use_cores_for_parts

    sizes.check_training(options)
    use_cores_for_parts(options.batch_size)
    # First the data, and only then TensorFlow, which takes seconds to import.
    text = data.load(options.data, options.data_dir)
    print(f"data: {text.source}", flush=True)

    from apps.chargen.train import run

    run(options, text)


def sample(options: config.Sample) -> None:
    from apps.chargen.sample import run

    run(options)


def evaluate(options: config.Evaluate) -> None:
    from apps.chargen.evaluate import run

    run(options)


def export(options: config.Export) -> None:
    conversion.run(options, "chargen", "step", ["logits"])


COMMANDS = {
    "train": cli.Command(config.Train, train, config.PRESETS, prints=lambda _: False),
    "sample": cli.Command(config.Sample, sample, prints=lambda options: options.output is None),
    "evaluate": cli.Command(config.Evaluate, evaluate),
    "export": cli.Command(config.Export, export, prints=lambda _: False),
}

if __name__ == "__main__":
    sys.exit(
        cli.main("apps.chargen", "Learns a text, character by character, and writes.", COMMANDS)
    )

"""`python -m apps.transduce`: train, evaluate and use a sequence-to-sequence model."""

import sys

from apps import cli, conversion
from apps.transduce import config


def train(options: config.Train) -> None:
    from apps.transduce import data, sizes

    sizes.check_training(options)
    # First the data, and only then TensorFlow, which takes seconds to import.
    loaded = data.load(options.data)
    print(f"data: {loaded.source}", flush=True)

    from apps.threads import use_cores_for_parts
    from apps.transduce.fitting import choose_batch_size

    splits = data.split(loaded, options)
    use_cores_for_parts(choose_batch_size(options, len(splits["train"])))

    from apps.transduce.train import run

    run(options, loaded, splits)


def predict(options: config.Predict) -> None:
    from apps.transduce.predict import run

    run(options)


def evaluate(options: config.Evaluate) -> None:
    from apps.transduce.evaluate import run

    run(options)


def baseline(options: config.Baseline) -> None:
    from apps.transduce.baseline import run

    run(options)


def export(options: config.Export) -> None:
    conversion.run(options, "transduce", "ids", ["ids"])


COMMANDS = {
    "train": cli.Command(config.Train, train, config.PRESETS, prints=lambda _: False),
    "predict": cli.Command(config.Predict, predict),
    "evaluate": cli.Command(config.Evaluate, evaluate),
    "baseline": cli.Command(config.Baseline, baseline),
    "export": cli.Command(config.Export, export, prints=lambda _: False),
}

if __name__ == "__main__":
    sys.exit(
        cli.main(
            "apps.transduce",
            "Sequence to sequence: words to their pronunciations, or pairs of your own.",
            COMMANDS,
        )
    )

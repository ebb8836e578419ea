"""`python -m apps.sentiment`: train, evaluate and use a model that labels texts."""

import sys

from apps import cli, conversion
from apps.sentiment import config


def train(options: config.Train) -> None:
    from apps.sentiment import data, sizes

    sizes.check_training(options)
    if options.word_pairs is not None:
        import apps.sentiment.linear  # noqa: F401 (if an extra is missing, it says so now)
    # First the data, and only then TensorFlow, which takes seconds to import.
    loaded = data.load_for_training(options)
    sizes.check_training(options, loaded.train, len(loaded.labels))
    print(f"data: {loaded.source}", flush=True)

    from apps.sentiment.train import run

    run(options, loaded)


def evaluate(options: config.Evaluate) -> None:
    from apps.sentiment.evaluate import run

    run(options)


def baseline(options: config.Baseline) -> None:
    from apps.sentiment.baseline import run

    run(options)


def predict(options: config.Predict) -> None:
    from apps.sentiment.predict import run

    run(options)


def export(options: config.Export) -> None:
    conversion.run(options, "sentiment", "ids", ["probability"])


COMMANDS = {
    "train": cli.Command(config.Train, train, config.PRESETS, prints=lambda _: False),
    "evaluate": cli.Command(config.Evaluate, evaluate),
    "baseline": cli.Command(config.Baseline, baseline),
    "predict": cli.Command(config.Predict, predict),
    "export": cli.Command(config.Export, export, prints=lambda _: False),
}

if __name__ == "__main__":
    sys.exit(
        cli.main(
            "apps.sentiment",
            "Classify texts: positive and negative movie reviews, or labels of your own.",
            COMMANDS,
        )
    )

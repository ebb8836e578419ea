"""Captions for images of handwritten digits: a picture in, a sentence out.

    python -m examples.captions --plot captions.png

A small task, and partly a made-up one: the digits are real, the images and captions are not.
Two of scikit-learn's digits (8 x 8 pixels) stand beside or above each other on an empty canvas;
the caption is, for example, "a seven above an eight". Test images are made only
of test digits, which no training or validation image contains. A convolutional network and a
`SequenceDecoder` are trained end to end. They are compared with the most frequent caption, and
with logistic regression that names each part: how the digits stand, and then each digit.

`digit_images` has the recipe of the images. All choices are made on the validation images, and
the test images are read once.

Reference: O. Vinyals et al., "Show and tell: a neural image caption generator", 2015,
arXiv:1411.4555.
"""

import collections
import dataclasses
import itertools
import sys
from collections.abc import Sequence
from pathlib import Path

from apps.quiet import quiet_tensorflow

with quiet_tensorflow():
    import keras
    import numpy as np

    import kerasrnn

from apps.errors import UserError
from apps.transduce.rates import error_rates
from examples import decoder_training, experiment
from examples.digit_images import RELATIONS, Examples, describe, make_examples

BATCH_SIZE, LEARNING_RATE, UNITS = 64, 0.002, 128
STRENGTHS = (0.1, 1.0, 10.0)
"""Values of C, the inverse of the regularization, from which validation chooses."""
NUM_DRAWN = 8


@dataclasses.dataclass(frozen=True)
class Options(decoder_training.Options):
    """Trains a small convolutional network and a decoder to describe images of digits."""

    epochs: int = 25
    """Maximum number of epochs."""
    plot: Path | None = None
    """An image file for some test images and their captions. Default: none."""


def train_model(train: Examples, validation: Examples, options: Options):
    """A small convolutional network, and a decoder that begins with what it found."""
    keras.utils.set_random_seed(options.seed)
    encoder = keras.Sequential(
        [
            keras.layers.Conv2D(16, 3, padding="same", activation="relu"),
            keras.layers.MaxPooling2D(2),
            keras.layers.Conv2D(32, 3, padding="same", activation="relu"),
            keras.layers.MaxPooling2D(2),
            keras.layers.Flatten(),
            keras.layers.Dropout(0.3),
            keras.layers.Dense(UNITS, activation="relu"),
        ]
    )
    vocabulary = kerasrnn.TokenVocabulary.from_texts(train.captions, "whitespace")
    model = kerasrnn.SequenceDecoder(
        vocabulary, encoder, units=UNITS, embedding_dim=32, max_length=10
    )
    model.compile(keras.optimizers.Adam(LEARNING_RATE))
    batches, held_out = (
        model.make_batches(part.images, part.captions, batch_size=BATCH_SIZE, seed=seed)
        for part, seed in ((train, options.seed), (validation, None))
    )
    decoder_training.fit(model, batches, held_out, options.epochs, "captions")
    return model


class PartByPart:
    """Logistic regression on pixels: of the relation, and of each digit in each relation.

    Args:
        train: what to learn from.
        strength: C, the inverse of the regularization.
    """

    def __init__(self, train: Examples, strength: float):
        relations, digits = np.array(train.relations), np.array(train.digits)
        self.relation = _fit(train.images, relations, strength)
        self.digits = {
            (relation, place): _fit(
                train.images[relations == relation],
                digits[relations == relation, place],
                strength,
            )
            for relation, place in itertools.product(range(len(RELATIONS)), range(2))
        }

    def generate(self, images: np.ndarray) -> list[str]:
        pixels = images.reshape(len(images), -1)
        relations = self.relation.predict(pixels).tolist()
        digits = {part: one.predict(pixels).tolist() for part, one in self.digits.items()}
        return [
            describe(relation, [digits[relation, place][row] for place in range(2)])
            for row, relation in enumerate(relations)
        ]


def _fit(images, labels, strength):
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    model = LogisticRegression(C=strength, tol=1e-3, max_iter=1000)
    with threadpool_limits(1):  # more threads make such small products slower
        return model.fit(images.reshape(len(images), -1), labels)


def choose_part_by_part(train: Examples, validation: Examples) -> PartByPart:
    """The baseline with the strength that is best on validation images."""
    strengths = experiment.each(STRENGTHS, lambda c: f"logistic regression, C = {c}")
    models = [PartByPart(train, strength) for strength in strengths]
    right = validation.captions
    return max(models, key=lambda model: exact(model.generate(validation.images), right))


def exact(written: Sequence[str], captions: Sequence[str]) -> float:
    """The share of captions that are right, word for word."""
    return float(np.mean([a == b for a, b in zip(written, captions, strict=True)]))


def token_error_rate(written: Sequence[str], captions: Sequence[str]) -> float:
    """The edit distance to the right captions, divided by the number of their words."""
    return error_rates(
        written, [[caption] for caption in captions], "whitespace"
    ).token_error_rate


def report(written: dict[str, list[str]], captions: list[str]) -> None:
    """A row for each model, with what it wrote for the test images."""
    rows = [
        [name, f"{exact(texts, captions):.1%}", f"{token_error_rate(texts, captions):.1%}"]
        for name, texts in written.items()
    ]
    title = f"{len(captions):,} test images"
    experiment.print_table([title, "exact captions", "token error rate"], rows)


def check_plot(path: Path) -> None:
    """Raises a `UserError` for a figure that could not be drawn, before the work."""
    formats = experiment.new_figure(1, 1).canvas.get_supported_filetypes()
    if path.suffix[1:] not in formats:
        raise UserError(f"--plot must end in one of {', '.join(formats)}, got {path}.")
    if not path.absolute().parent.is_dir():
        raise UserError(f"--plot: there is no folder {path.parent}.")


def draw(images: np.ndarray, written: list[str], captions: list[str], path: Path) -> None:
    """Images under what the model wrote; a wrong caption is red, above the right one."""
    figure = experiment.new_figure(11, 5.5)
    axes = figure.subplots(2, NUM_DRAWN // 2).flat
    for place, image, text, caption in zip(axes, images, written, captions, strict=False):
        place.imshow(image[..., 0], cmap="gray_r")
        right = text == caption
        title = text if right else f"{text}\n(right: {caption})"
        place.set_title(title, fontsize="x-small", color="black" if right else "C3")
        place.set(xticks=[], yticks=[])
    figure.savefig(path, dpi=110)
    print(f"figure: {path}")


def run(options: Options) -> None:
    if options.plot is not None:
        check_plot(options.plot)
    train, validation, test = make_examples().values()
    print("a small, partly made-up task: real digits in composed images with made-up captions")
    ((frequent, _),) = collections.Counter(train.captions).most_common(1)
    logistic = choose_part_by_part(train, validation)
    model = train_model(train, validation, options)
    written = {
        f'always "{frequent}", the most frequent caption': [frequent] * len(test.images),
        "logistic regression, part by part": logistic.generate(test.images),
        "convolutional network and SequenceDecoder": model.generate(test.images),
    }
    report(written, test.captions)
    if options.plot is not None:
        draw(test.images, list(written.values())[-1], test.captions, options.plot)


if __name__ == "__main__":
    sys.exit(decoder_training.main("captions", __doc__.splitlines()[0], Options, run))

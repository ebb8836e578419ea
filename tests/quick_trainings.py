"""Many trainings of an app in one process, each of which takes tenths of a second."""

import contextlib
import functools
import importlib
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import keras
import numpy as np

import kerasrnn
from kerasrnn.serving import saved_model
from kerasrnn.training import loop


@contextlib.contextmanager
def quick_trainings(app: str) -> Iterator[None]:
    """Gives each training the same model, whose variables get their first values back.

    So its graphs are traced once. Its picture is drawn once, too. All trainings must have the
    same options, but for places and epochs; there is a model for each vocabulary. Layers made
    later in a training have the same names in each, as in a process of its own.
    """
    train = importlib.import_module(f"apps.{app}.train")
    make, known = train.make_model, {}

    def make_model(vocabulary, options, num_steps, *labels):
        key = tuple(getattr(vocabulary, "words", None) or vocabulary.characters)
        if key not in known:
            keras.utils.set_random_seed(0)
            model = make(vocabulary, options, num_steps, *labels)
            model(np.zeros([1, 1], "int32"))
            model.optimizer.build(model.trainable_variables)
            known[key] = model, {id(v): v.numpy() for v in variables_of(model)}
        model, first_values = known[key]
        keras.utils.clear_session()  # Keras counts the names that it gives
        keras.utils.set_random_seed(0)
        for variable in variables_of(model):  # metrics are made later, of zeros
            variable.assign(first_values.get(id(variable), np.zeros_like(variable)))
        return model

    compile_update, updates = loop.compile_update, {}

    def compile_once(step, batches):
        if step not in updates:
            updates[step] = compile_update(step, batches)
        return updates[step]

    combine, combined = kerasrnn.TextClassifier.with_linear, {}

    def with_linear(network, *arguments):
        model = combine(network, *arguments)
        first = combined.setdefault(id(network), model)
        for variable, value in zip(first.variables, model.variables, strict=True):
            variable.assign(value)
        return first

    make_signatures = functools.cache(saved_model.make_signatures)
    with (
        mock.patch.object(train, "make_model", make_model),
        mock.patch.object(kerasrnn.TextClassifier, "with_linear", with_linear),
        mock.patch.object(loop, "compile_update", compile_once),
        mock.patch.object(saved_model, "make_signatures", make_signatures),
        pictures_drawn_once(),
    ):
        yield


def variables_of(model) -> list:
    extra = model.training_step.variables
    return [*model.variables, *model.optimizer.variables, *model.metrics_variables, *extra]


@contextlib.contextmanager
def pictures_drawn_once() -> Iterator[None]:
    """Whatever picture is saved, the first one is."""
    try:
        from matplotlib.figure import Figure
    except ImportError:  # the apps draw none then
        yield
        return
    draw, drawn = Figure.savefig, []

    def write(figure, path, **options):
        if drawn:
            Path(path).write_bytes(drawn[0])
        else:
            draw(figure, path, **options)
            drawn.append(Path(path).read_bytes())

    with mock.patch.object(Figure, "savefig", write):
        yield

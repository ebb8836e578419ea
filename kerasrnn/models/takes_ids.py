"""Models over the ids of a vocabulary, and what they say of an id that it does not have."""

from typing import Any

import numpy as np

from kerasrnn.models.lookup import check_ids
from kerasrnn.training.errors import clear_errors


class TakesIds:
    """Put before the class of a model with a `vocabulary`: a wrong id is one clear error.

    An eager call checks its ids; graphs check them where they are looked up.
    """

    vocabulary: Any
    name: str

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        given = [*arguments, *(options[name] for name in ("ids", "inputs") if name in options)]
        ids = given[0] if given else None
        check_ids(
            self.name,
            ids.get("inputs") if isinstance(ids, dict) else ids,
            len(self.vocabulary),
        )
        return super().__call__(*arguments, **options)  # type: ignore[misc]

    def fit(self, *arguments: Any, **options: Any) -> Any:
        """Trains, as the class of the model does it."""
        with clear_errors():
            return super().fit(*arguments, **options)  # type: ignore[misc]

    def evaluate(self, *arguments: Any, **options: Any) -> Any:
        """Loss and metrics, as the class of the model gives them."""
        with clear_errors():
            return super().evaluate(*arguments, **options)  # type: ignore[misc]

    def predict(self, x: Any, *arguments: Any, **options: Any) -> Any:
        """Outputs, batch by batch, as `keras.Model.predict` gives them."""
        if isinstance(x, np.ndarray) and not len(x):  # Keras cannot
            return np.asarray(self(x))
        with clear_errors():
            return super().predict(x, *arguments, **options)  # type: ignore[misc]

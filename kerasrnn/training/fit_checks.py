"""Arguments of `fit` that Keras would take although they make no sense here."""

from kerasrnn.checks import check_epochs, check_positive_integer, check_rate
from kerasrnn.training.options import TrainingOptions


def check_fit(
    options: TrainingOptions,
    num_replicas: int,
    *,
    epochs: int,
    batch_size: int | None,
    validation_split: float | None,
) -> None:
    """Checks numbers given to `fit`, and that they go with the options of `compile`.

    Args:
        options: those of `compile`.
        num_replicas: of the strategy that the model was made under.
        epochs, batch_size, validation_split: as given.

    Raises:
        ValueError: if one is out of range or does not go with a window.
    """
    windowed = options.window is not None
    if windowed and num_replicas > 1:
        raise ValueError(
            "fit over windows runs on one device, but the model was compiled for "
            f"{num_replicas} replicas. Compile it outside the strategy, or use window=None."
        )
    check_epochs(epochs)
    if batch_size is not None:
        check_positive_integer("batch_size", batch_size)
    if validation_split is not None:
        check_rate("validation_split", validation_split)
    if windowed and validation_split:
        raise ValueError("Use validation_data: a window cannot go with validation_split.")

"""How long a training took, whatever came between."""

import time
import types

import keras


class TrainingClock(keras.callbacks.Callback):
    """Counts the seconds of training in `seconds`.

    They are saved in the checkpoint, like every attribute of a callback. So a run that
    continues after an interruption counts on. `seconds` are those before.
    """

    def __init__(self, seconds: float = 0.0):
        super().__init__()
        self.seconds = seconds
        self._process = types.SimpleNamespace(last=None)  # of this process: in no checkpoint

    def on_train_begin(self, logs=None):
        self._process.last = time.perf_counter()

    def on_train_batch_end(self, batch, logs=None):
        self._count()

    def on_epoch_end(self, epoch, logs=None):
        self._count()

    def on_train_end(self, logs=None):
        self._count()

    def _count(self):
        now = time.perf_counter()
        self.seconds += now - self._process.last
        self._process.last = now

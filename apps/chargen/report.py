"""What a training tells: figures and a sample after each epoch, the model card at the end."""

import dataclasses
import math
from pathlib import Path

from apps import run_dir
from apps.chargen.config import PRESETS, Train
from apps.chargen.evaluate import perplexity
from apps.quiet import quiet_tensorflow

with quiet_tensorflow():
    import keras

    from kerasrnn import files

SAMPLE_LENGTH, SAMPLE_TEMPERATURE = 200, 0.8


class EpochReport(keras.callbacks.Callback):
    """After each epoch: perplexity, bits per character, and a sample of text.

    Args:
        path: the file of all samples.

    `samples` are saved in the checkpoint, like every attribute of a callback. So the
    file is never read. It is always written completely, even if it was damaged.
    """

    def __init__(self, path: Path):
        super().__init__()
        self.path = path
        self.samples: list[str] = []

    def on_epoch_end(self, epoch, logs=None):
        loss = logs["val_loss"]
        logs["val_perplexity"] = perplexity(loss)
        logs["val_bits_per_character"] = loss / math.log(2)
        sample = self.model.generate("", SAMPLE_LENGTH, SAMPLE_TEMPERATURE, seed=epoch)
        title = (
            f"epoch {epoch + 1}: validation {loss:.4f} nats/character, "
            f"{logs['val_bits_per_character']:.4f} bits/character, "
            f"perplexity {logs['val_perplexity']:.3f}"
        )
        self.samples.append(f"{title}\n{sample}\n\n")
        self.write()
        print(f"\n{title}\n  | " + sample.replace("\n", "\n  | "), flush=True)

    def write(self) -> None:
        """Writes the samples of all epochs."""
        files.write_text(self.path, "".join(self.samples))


def write_model_card(options: Train, metrics: dict, sample: str) -> str:
    """What the model is, what it was trained on and how well it does, in Markdown."""
    sizes, versions = metrics["split_sizes"], metrics["versions"]
    kind = metrics["data_source"].split()[0]  # what `auto` came to
    pinned = dataclasses.replace(options, data=kind) if options.data == "auto" else options
    return f"""# Text, character by character

Goes on from a beginning, as the text would that it was trained on.

| | |
| --- | --- |
| data | {metrics["data_source"]} |
| characters | {", ".join(f"{size:,} {name}" for name, size in sizes.items())} |
| validation | {metrics["validation_loss"]:.4f} nats per character |
| validation, in bits | {metrics["bits_per_character"]:.4f} bits per character |
| test | {metrics["test_loss"]:.4f} nats per character |
| last tenth (validation and test) | {metrics["nanogpt_split_loss"]:.4f} nats per character |
| vocabulary | {metrics["vocabulary_size"]:,} characters |
| parameters | {metrics["num_parameters"]:,} |
| training | {metrics["train_seconds"]} s, {metrics["epochs"]} epochs |
| seed | {metrics["seed"]} |
| versions | {", ".join(f"{name} {version}" for name, version in versions.items())} |

Reproduce it: `{run_dir.command_line("chargen", pinned, PRESETS[options.preset])}`,
with all options in `config.json`.

A sample, at temperature {SAMPLE_TEMPERATURE}:

```
{sample.strip()}
```

It knows spelling and layout, not facts; what it writes can be anything that its
text could lead to.
"""

"""What a training run leaves behind: options, figures, checkpoints."""

import contextlib
import dataclasses
import datetime
import importlib.metadata
import json
import os
import platform
import shutil
from pathlib import Path

_PLACES = ("data_dir", "run_dir", "output", "preset")
_CONTENTS = ("config.json", "history.csv", "history.png", "metrics.json", "checkpoints")


def prepare(run_dir: Path | None, app: str, options) -> Path:
    """Makes the folder of a run, takes an earlier run out of it, writes its options.

    Args:
        run_dir: the folder; default `runs/<app>/<date and time>`.
        app: the name of the app.
        options: the dataclass that becomes `config.json`.
    """
    now = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    folder = Path(run_dir).expanduser() if run_dir else Path("runs", app, now)
    folder.mkdir(parents=True, exist_ok=True)
    for name in _CONTENTS:
        if (folder / name).is_dir():
            shutil.rmtree(folder / name)
        else:
            (folder / name).unlink(missing_ok=True)
    (folder / "checkpoints").mkdir()
    write_json(folder / "config.json", as_config(options))
    return folder


def as_config(options) -> dict:
    """Options as `config.json` holds them."""
    values = dataclasses.asdict(options)
    return {name: str(v) if isinstance(v, Path) else v for name, v in values.items()}


def command_line(app: str, options, defaults) -> str:
    """The command that gives the options of a training again."""
    flags = [f"--preset {options.preset}"] if options.preset != "default" else []
    for field in dataclasses.fields(options):
        value = getattr(options, field.name)
        if value == getattr(defaults, field.name) or field.name in _PLACES:
            continue
        flag = field.name.replace("_", "-")
        flags.append(f"--{flag} {value}" if not isinstance(value, bool) else f"--no-{flag}")
    return " ".join([f"python -m apps.{app} train", *flags])


def write_json(path: Path, content: dict) -> None:
    """Writes a JSON file; a reader sees the old content or the new one."""
    temporary = path.with_name(path.name + ".writing")
    temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    os.replace(temporary, path)


def versions() -> dict[str, str]:
    """The versions of Python and of the packages that shape a result."""
    packages = ("kerasrnn", "keras", "tensorflow", "numpy")
    installed = {"python": platform.python_version()}
    for package in packages:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):  # a bare checkout
            installed[package] = importlib.metadata.version(package)
    return installed


def plot_history(history: dict[str, list[float]], path: Path) -> bool:
    """Draws loss and accuracy over the epochs, if matplotlib is installed."""
    try:
        import matplotlib
    except ImportError:
        return False
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 2, figsize=(9, 3.5), layout="constrained")
    epochs = range(1, len(history["loss"]) + 1)
    for ax, name in zip(axes, ("loss", "accuracy"), strict=True):
        ax.plot(epochs, history[name], "o-", label="training")
        ax.plot(epochs, history[f"val_{name}"], "o-", label="validation")
        ax.set(xlabel="epoch", ylabel=name, xticks=list(epochs))
        ax.grid(alpha=0.3)
        ax.legend()
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
    return True

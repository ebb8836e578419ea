"""What a training run leaves behind: options, figures, checkpoints."""

import contextlib
import csv
import dataclasses
import datetime
import importlib.metadata
import io
import json
import os
import platform
import shlex
import shutil
from collections.abc import Sequence
from pathlib import Path

from apps.cli import UserError

_PLACES = ("data_dir", "run_dir", "output", "keep_versions")
_CONTENTS = (
    "config.json",
    "history.csv",
    "history.png",
    "metrics.json",
    "samples.txt",
    "ids.npy",
    "text.sha256",
    "checkpoints",
)


def prepare(run_dir: Path | None, app: str, options) -> Path:
    """Makes the folder of a run and writes its options; or finds a run there to go on with.

    An unfinished run of the same options stays as it is, if `options.resume`;
    any other earlier run is taken out of the folder.

    Args:
        run_dir: the folder; default `runs/<app>/<date and time>`.
        app: the name of the app.
        options: the dataclass that becomes `config.json`.

    Raises:
        UserError: if the folder holds something else, or an unfinished run of
            other options while `options.resume`.
    """
    now = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    folder = Path(run_dir).expanduser() if run_dir else Path("runs", app, now)
    folder.mkdir(parents=True, exist_ok=True)
    found = [name for name in _CONTENTS if (folder / name).exists()]
    if found and not _is_run(folder, options):
        raise UserError(
            f"{folder / found[0]}: this is no run of {app}, and would be replaced. "
            "Use another --run-dir."
        )
    if options.resume and is_unfinished(folder):
        differing = _find_differing(folder, options)
        if not differing:
            return folder
        raise UserError(
            f"{folder}: an unfinished run with other options is there (it differs in "
            f"{', '.join(differing)}). Use its options, another --run-dir, or --no-resume to "
            "replace it."
        )
    for name in found:
        if (folder / name).is_dir():
            shutil.rmtree(folder / name)
        else:
            (folder / name).unlink()
    (folder / "checkpoints").mkdir()
    write_json(folder / "config.json", as_config(options))
    return folder


def is_unfinished(folder: Path) -> bool:
    """Whether a run in this folder has come to a checkpoint, but not to its end."""
    finished = (folder / "metrics.json").exists()
    return not finished and any((folder / "checkpoints").glob("step-*.npz"))


def _find_differing(folder, options):
    """The flags whose values are not those of the run in the folder."""
    before = json.loads((folder / "config.json").read_text("utf-8"))
    ignored = (*_PLACES, "resume")
    return [
        f"--{name.replace('_', '-')}"
        for name, value in as_config(options).items()
        if name not in ignored and before[name] != value
    ]


def _is_run(folder: Path, options) -> bool:
    try:
        config = json.loads((folder / "config.json").read_text("utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(config, dict) and set(config) == set(as_config(options))


def as_config(options) -> dict:
    """Options as `config.json` holds them."""
    values = dataclasses.asdict(options)
    return {name: str(v) if isinstance(v, Path) else v for name, v in values.items()}


def command_line(app: str, options, defaults) -> str:
    """The command that gives the options of a training again."""
    is_default = options.preset == type(options)().preset
    flags = [] if is_default else ["--preset", options.preset]
    for field in dataclasses.fields(options):
        value = getattr(options, field.name)
        ignored = ("preset", "resume", *_PLACES)
        if value == getattr(defaults, field.name) or field.name in ignored:
            continue
        flag = field.name.replace("_", "-")
        if isinstance(value, bool):
            flags.append(f"--{flag}" if value else f"--no-{flag}")
        else:
            flags += [f"--{flag}", str(value)]
    return shlex.join(["python", "-m", f"apps.{app}", "train", *flags])


def without_places(config: dict) -> dict:
    """A `config.json` to publish: what shaped the model, not where it lay."""
    ignored = ("resume", *_PLACES)
    return {name: value for name, value in config.items() if name not in ignored}


def write_json(path: Path, content: dict) -> None:
    """Writes a JSON file; a reader sees the old content or the new one."""
    write_text(path, json.dumps(content, indent=2) + "\n")


def add_to_history(path: Path, epoch: int, logs: dict[str, float]) -> None:
    """Writes the figures of an epoch, counted from 0, into a CSV file.

    Rows of this and of later epochs, which a run that was cut off has left
    behind, are replaced.
    """
    rows = []
    if path.exists():
        with path.open(newline="", encoding="utf-8") as file:
            rows = [row for row in csv.DictReader(file) if int(row["epoch"]) < epoch]
    text = io.StringIO()
    writer = csv.DictWriter(text, ["epoch", *sorted(logs)], lineterminator="\n")
    writer.writeheader()
    writer.writerows([*rows, {"epoch": epoch, **logs}])
    write_text(path, text.getvalue())


def write_text(path: Path, text: str) -> None:
    """Writes a file; a reader sees the old content or the new one."""
    temporary = path.with_name(path.name + ".writing")
    try:
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def versions() -> dict[str, str]:
    """The versions of Python and of the packages that shape a result."""
    packages = ("kerasrnn", "keras", "tensorflow", "numpy")
    installed = {"python": platform.python_version()}
    for package in packages:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):  # a bare checkout
            installed[package] = importlib.metadata.version(package)
    return installed


def plot_history(
    history: dict[str, list[float]], path: Path, names: Sequence[str] = ("loss", "accuracy")
) -> None:
    """Draws figures over the epochs, in training and validation, if matplotlib is installed."""
    try:
        import matplotlib
    except ImportError:
        return
    matplotlib.use("Agg")
    from matplotlib import pyplot

    size = (4.5 * len(names), 3.5)
    figure, axes = pyplot.subplots(
        1, len(names), figsize=size, layout="constrained", squeeze=False
    )
    epochs = range(1, len(history["loss"]) + 1)
    for ax, name in zip(axes[0], names, strict=True):
        ax.plot(epochs, history[name], "o-", label="training")
        ax.plot(epochs, history[f"val_{name}"], "o-", label="validation")
        ax.set(xlabel="epoch", ylabel=name, xticks=list(epochs)[:: 1 + len(epochs) // 12])
        ax.grid(alpha=0.3)
        ax.legend()
    figure.savefig(path, dpi=120)
    pyplot.close(figure)

"""What a training run leaves behind: options, figures, checkpoints.

A run may be killed at any moment, and continues when you run the same command again.
Therefore `config.json` is written first: it is there whenever any other file is there.
`metrics.json` is written last, and is removed last when a run is replaced. Every file is
whole or absent.
"""

import contextlib
import csv
import dataclasses
import datetime
import importlib.metadata
import io
import json
import platform
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from apps.errors import UserError
from apps.plain_json import to_json
from apps.quiet import quiet_tensorflow

with quiet_tensorflow():
    from kerasrnn import files
    from kerasrnn.training import checkpoints

CONFIG, METRICS, EXPORTED, IDS = "config.json", "metrics.json", "exported.json", "ids.npy"
PRETRAINING = "pretraining"
"""The sub-folder of a training that comes before, with checkpoints of its own."""
_PLACES = ("data_dir", "run_dir", "output", "keep_versions")
_WHILE_TRAINING = ("checkpoints", PRETRAINING, IDS)
_RESULTS = (*_WHILE_TRAINING, "history.csv", "history.png", "samples.txt", EXPORTED)
_CONTENTS = (CONFIG, METRICS, *_RESULTS)
_DATA = "data_sha256"


@contextlib.contextmanager
def prepared(run_dir: Path | None, app: str, options: Any, data: str) -> Iterator[Path]:
    """Makes the folder of a run, or finds a run there to go on with; no one else gets in.

    A run of the same options on the same data stays as it is, if `options.resume`.
    Any other earlier run is taken out of the folder.

    Args:
        run_dir: the folder; default `runs/<app>/<date and time>`.
        app: the name of the app.
        options: the dataclass that becomes `config.json`.
        data: the SHA-256 of the data.

    Raises:
        UserError: if the folder holds something else, an unfinished run of
            other options or data while `options.resume`, or another process trains there.
        KeyboardInterrupt: that says how to go on, if Ctrl-C came after a checkpoint.
    """
    now = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    folder = Path(run_dir).expanduser() if run_dir else Path("runs", app, now)
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as locks:
        try:
            alone = locks.enter_context(files.locked(folder, wait=False))
        except BlockingIOError:
            raise UserError(
                f"{folder}: another process is training in this folder. "
                "Wait for its end, or use another --run-dir."
            ) from None
        _make_ready(folder, app, options, {**as_config(options), _DATA: data})
        if alone:
            files.remove_unfinished(folder)
        try:
            yield folder
        except KeyboardInterrupt:
            if is_unfinished(folder):
                how = (
                    f"To go on, run the same command with --run-dir {shlex.quote(str(folder))}"
                )
                raise KeyboardInterrupt(how) from None
            raise


def _make_ready(folder: Path, app: str, options: Any, config: dict) -> None:
    found = [name for name in _CONTENTS if (folder / name).exists()]
    before = read_json(folder / CONFIG)
    if _is_damaged(folder, before):
        if options.resume:
            raise UserError(
                f"{folder / CONFIG}: the file is damaged: it does not tell the options of the "
                "run. Use --no-resume to replace the run, or another --run-dir."
            )
    elif found and not set(as_config(options)) <= set(before):
        raise UserError(
            f"{folder / found[0]}: this is no run of {app}, and would be replaced. "
            "Use another --run-dir."
        )
    differing = _find_differing(before, config)
    if found and options.resume and not differing:
        return
    if options.resume and is_unfinished(folder):
        raise UserError(
            f"{folder}: an unfinished run with other options is there (it differs in "
            f"{', '.join(differing)}). Use its options, another --run-dir, or --no-resume to "
            "replace it."
        )
    # While METRICS is there, the old run counts as finished.
    for name in (*_RESULTS, METRICS):
        files.remove(folder / name)
    write_json(folder / CONFIG, config)


def _is_damaged(folder: Path, config: dict) -> bool:
    """Whether `config.json` cannot be read, but the checkpoints of a run are there."""
    return _has_checkpoints(folder) and not config and (folder / CONFIG).is_file()


def is_unfinished(folder: Path) -> bool:
    """Whether a run in this folder has come to a checkpoint, but not to its end."""
    return not (folder / METRICS).exists() and _has_checkpoints(folder)


def _has_checkpoints(folder: Path) -> bool:
    parts = (folder / "checkpoints", folder / PRETRAINING / "checkpoints")
    return any(map(checkpoints.list_checkpoints, parts))


def _find_differing(before: dict, config: dict) -> list[str]:
    """The flags whose values are not those of the run in the folder."""
    ignored = (*_PLACES, "resume", _DATA)
    differing = [
        f"--{name.replace('_', '-')}"
        for name, value in config.items()
        if name not in ignored and before.get(name) != value
    ]
    same_data = before.get(_DATA, config[_DATA]) == config[_DATA]
    return differing if same_data else [*differing, "the data themselves"]


def read_json(path: Path) -> dict:
    """What `write_json` wrote; empty if it is not there, or damaged."""
    try:
        content = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def begun_with(options: Any) -> Path:
    """The version that `--init-from` names: for a run that goes on, the one it began with."""
    asked = options.init_from.expanduser()
    if options.resume and options.run_dir is not None:
        before = read_json(options.run_dir.expanduser() / CONFIG).get("init_from")
        if isinstance(before, str) and Path(before).parent == asked and Path(before).is_dir():
            return Path(before)
    return asked


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
    files.write_text(path, to_json(content, indent=2) + "\n")


def write_history(path: Path, rows: Sequence[dict[str, float]]) -> None:
    """Writes the figures of the epochs, the first of which is 0, into a CSV file."""
    text = io.StringIO()
    writer = csv.DictWriter(text, ["epoch", *sorted(rows[0])], lineterminator="\n")
    writer.writeheader()
    writer.writerows({"epoch": epoch, **row} for epoch, row in enumerate(rows))
    files.write_text(path, text.getvalue())


def versions() -> dict[str, str]:
    """The versions of Python and of the packages that shape a result."""
    packages = ("kerasrnn", "keras", "tensorflow", "numpy", "scipy", "scikit-learn")
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
    with files.writing(path) as hidden:
        figure.savefig(hidden, dpi=120)
    pyplot.close(figure)

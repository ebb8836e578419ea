"""Results as files: JSON that says how they were found, and plots."""

import dataclasses
import datetime
import importlib.metadata
import json
import os
import platform
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.options import Options
from benchmarks.tables import Table

PACKAGES = ("kerasrnn", "tensorflow", "keras", "torch", "jax", "numpy")
DOTS_PER_INCH = 120


def num_cores() -> int:
    """The cores that this process may use."""
    return (
        len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count() or 1
    )


def describe_machine() -> dict[str, Any]:
    """What the numbers depend on beside the code."""
    return {
        "machine": platform.platform(),
        "processor": _processor(),
        "cores": num_cores(),
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in PACKAGES},
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    text = cpuinfo.read_text("utf-8") if cpuinfo.exists() else ""
    model = re.search(r"^model name\s*:\s*(.*)$", text, re.MULTILINE)
    return model[1] if model else platform.processor()


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def write(folder: Path, name: str, options: Options, tables: Sequence[Table]) -> None:
    """Writes `<name>.json`, and a picture of each table that has one."""
    folder.mkdir(parents=True, exist_ok=True)
    content = {
        **describe_machine(),
        "options": dataclasses.asdict(options),
        "tables": [
            {"name": table.name, "title": table.title, "rows": table.records()}
            for table in tables
        ],
    }
    text = json.dumps(content, indent=1, default=str)
    (folder / f"{name}.json").write_text(text + "\n", "utf-8")
    for table in tables:
        if table.plotted and table.rows:
            draw(table, folder / f"{table.name}.png")


def draw(table: Table, path: Path) -> None:
    """Draws a table: a line for each row, and a dot on it for each contender."""
    from matplotlib.figure import Figure  # it comes with the extra viz

    labels, records = table.labels(), table.records()
    figure = Figure(figsize=(9, 2 + 0.25 * len(labels)), layout="constrained")
    axes = figure.add_subplot()
    for column in table.plotted:
        found = [(record[column], row) for row, record in enumerate(records)]
        shown = [(value, row) for value, row in found if value is not None]
        if shown:
            axes.plot(*zip(*shown, strict=True), "o", alpha=0.7, label=column)
    axes.set_yticks(range(len(labels)), labels)
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.set_title(table.title)
    axes.grid(alpha=0.3)
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
    figure.savefig(path, dpi=DOTS_PER_INCH)

"""A training that is killed after its first checkpoint, in a process of its own.

`python -m tests.apps.killed_training APP OPTION...` is that process. It compiles its graphs
as the tests do: so what they go on with comes to the same numbers as a training of theirs.
"""

import importlib
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from apps import cli
from apps.quiet import quiet_tensorflow

with quiet_tensorflow():
    from tests import quick_graphs  # noqa: F401 (sets how graphs are compiled)


def train_and_kill(app: str, arguments: Sequence, run_dir: Path, **environment: str) -> None:
    """Begins to train an app; kills the process as soon as a checkpoint is in `run_dir`."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.apps.killed_training", app, *map(str, arguments)],
        stdout=subprocess.DEVNULL,
        env={**os.environ, **environment},
    )
    while process.poll() is None and not list(run_dir.glob("checkpoints/step-*")):
        time.sleep(0.01)
    process.kill()
    process.wait()
    assert not (run_dir / "metrics.json").exists()


def main(app: str, *arguments: str) -> int:
    commands = importlib.import_module(f"apps.{app}.__main__").COMMANDS
    return cli.main(f"apps.{app}", "", commands, arguments)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

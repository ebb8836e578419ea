"""`python -m benchmarks`: measures speed and memory, all of it or what is named."""

import importlib
import importlib.util
import os
import sys
import time

import tyro

from apps.errors import UserError
from benchmarks import results
from benchmarks.options import NAMES, Options
from benchmarks.tables import tell
from benchmarks.workers import hide_retracing


def main(options: Options) -> None:
    if options.output is not None and importlib.util.find_spec("matplotlib") is None:
        raise UserError("--output needs matplotlib: python -m pip install matplotlib")
    if options.quick:  # compiling takes longer than the runs
        os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")
    hide_retracing()
    # Always in this order: those that import TensorFlow into this process come last.
    for name in (name for name in NAMES if name in options.names):
        start = time.perf_counter()
        tables = []
        for table in importlib.import_module(f"benchmarks.{name}").run(options):
            table.print()
            tables.append(table)
            if options.output is not None:
                results.write(options.output, name, options, tables)
        tell(f"{name}: {time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    try:
        main(tyro.cli(Options, prog="python -m benchmarks"))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)

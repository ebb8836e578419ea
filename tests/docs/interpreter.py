"""Runs blocks of Python one after the other in this interpreter, which is a fresh one.

Reads JSON from standard input: `blocks`, pairs of a place and the code, and `missing`, the
modules that must not be there. Writes JSON: for each block what it printed.
"""

import contextlib
import io
import json
import sys


def main() -> None:
    job = json.load(sys.stdin)
    for name in job["missing"]:
        sys.modules[name] = None  # importing it is an error
    names: dict = {"__name__": "__main__"}
    outputs = []
    for place, code in job["blocks"]:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(code, place, "exec"), names)
        outputs.append(printed.getvalue())
    json.dump(outputs, sys.stdout)


if __name__ == "__main__":
    main()

"""Runs a client once for each of several questions, in one interpreter.

    python ask_several.py CLIENT

Reads JSON from standard input: of each question the client's arguments and the lines of its
standard input. Writes JSON: what it printed to each.
"""

import contextlib
import io
import json
import runpy
import sys

client = sys.argv[1]
printed = []
for arguments, lines in json.load(sys.stdin):
    sys.argv, sys.stdin = [client, *arguments], io.StringIO("".join(f"{x}\n" for x in lines))
    with contextlib.redirect_stdout(io.StringIO()) as output:
        runpy.run_path(client, run_name="__main__")
    printed.append(output.getvalue())
json.dump(printed, sys.stdout)

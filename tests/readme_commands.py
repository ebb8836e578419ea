"""Runs what the README shows on serving, and compares what it prints.

    python -m tests.readme_commands

Every command after `$ ` in that section runs in a copy of `saved_models` and the clients, one
after the other, and must print what is shown; so must the snippet of Python at the end run.
Needs gcc and the extras onnx, litert and openvino.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
SECTION = "Serve the models"


def main() -> int:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    section = readme.split(f"\n## {SECTION}\n")[1].split("\n## ")[0]
    shown = re.findall(r"```\n(\$ .*?)```", section, re.DOTALL)
    commands = re.split(r"^\$ ", "".join(shown), flags=re.MULTILINE)[1:]
    (snippet,) = re.findall(r"```python\n(import keras\n.*?)```", section, re.DOTALL)
    if len(commands) < 10:
        print(f"only {len(commands)} commands were found: has the section changed its form?")
        return 1
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        for name in ("saved_models", "tests/clients"):
            shutil.copytree(ROOT / name, Path(folder, name))
        setting = ""  # a shell variable, for the commands after it
        for command in commands:
            line, expected = re.split(r"(?<!\\)\n", command, maxsplit=1)
            if re.match(r"\w+=\$\(", line):
                setting = f"{line}; "
                continue
            wrong += not check(folder, ["bash", "-c", setting + line], line, expected)
        python = [sys.executable, "-c", snippet]
        wrong += not check(folder, python, "the snippet", "saved_models/forecast/1\n")
    print(f"{len(commands)} commands and a snippet, {wrong} wrong")
    return min(wrong, 1)


def check(folder: str, command: list[str], name: str, expected: str) -> bool:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    right = (done.returncode, done.stdout) == (0, expected)
    print(f"{'as shown' if right else 'OTHERWISE'}: {name}", flush=True)
    if not right:
        print(f"expected:\n{expected}\nfound:\n{done.stdout}\n{done.stderr[-1000:]}")
    return right


if __name__ == "__main__":
    sys.exit(main())

"""A training that fails or dies at any change on the disk, and is started again.

`tests/faults/every_change.py` says what is checked. Here each app fails at every `STEP`-th
moment, and dies at every `STEP`-th, at others; with STEP=1 in the environment at all of them.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
STEP = int(os.environ.get("STEP", "200"))

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        shutil.which("gcc") is None or not sys.platform.startswith("linux"),
        reason="the failing disk is compiled with gcc, for Linux",
    ),
]


@pytest.fixture(scope="module")
def failing_disk(tmp_path_factory):
    library = tmp_path_factory.mktemp("disk") / "failing_disk.so"
    source = ROOT / "tests" / "faults" / "failing_disk.c"
    command = ["gcc", "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", library, source]
    subprocess.run([str(part) for part in [*command, "-ldl"]], check=True)
    return library


@pytest.mark.skipif("not os.environ.get('THOROUGH')", reason="takes long, set THOROUGH")
def test_whatever_change_fails_the_same_command_ends_as_if_it_had_not(failing_disk):
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.every_change", str(STEP)],
        cwd=ROOT,
        env={**os.environ, "LD_PRELOAD": str(failing_disk), "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("every one well ended") == 4
    assert ": 0 moments" not in done.stdout

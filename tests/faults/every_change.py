"""Fails or kills a training at every change that it makes on the disk, and does it again.

    LD_PRELOAD=.../failing_disk.so python -m tests.faults.every_change [STEP [APP [MODE]]]

As SQLite is tested: the k-th write, truncate, fsync, rename, mkdir, unlink or opening of a
file for writing fails with an error (MODE `fail`), or is the last thing that the process
does (MODE `die`), for every k, or every STEP-th. After each, only whole files may be seen;
then the same command is given again, and its end must be that of a training which was never
disturbed: the same files, the same weights bit for bit, exactly one new version, no litter.

All trainings of an APP have one model, which begins anew in each.
"""

import contextlib
import csv
import ctypes
import errno
import io
import json
import os
import shutil
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np

from apps import cli
from apps.chargen.__main__ import COMMANDS as CHARGEN
from apps.sentiment.__main__ import COMMANDS as SENTIMENT
from tests import quick_graphs  # noqa: F401
from tests.quick_trainings import quick_trainings

MODES = {"fail": 1, "die": 2}
WORDS = "good fine lovely bad awful boring film plot actor".split()
SMALL = {
    "sentiment": "--epochs 2 --batch-size 8 --units 2 --embedding-dim 2 --vocabulary-size 9 "
    "--max-length 4 --pooling last --no-bidirectional --word-pairs 20",
    "chargen": "--epochs 2 --batch-size 4 --units 3 --num-layers 1 --window 32 "
    "--keep-versions 2",
}


class Disk:
    """The disk of `failing_disk.c`, which this process must have been started with."""

    def __init__(self):
        self._library = ctypes.CDLL(None)
        self._library.failed_operation.restype = ctypes.c_char_p

    def arm(self, folder: Path, k: int, mode: int, error: int) -> None:
        self._library.arm(bytes(folder), ctypes.c_long(k), mode, error)

    def disarm(self) -> int:
        """Ends it, and tells how many changes there were."""
        return self._library.disarm()

    def failed_operation(self) -> str:
        return self._library.failed_operation().decode()


def main(step: str = "1", app: str | None = None, mode: str | None = None) -> int:
    for place, one in enumerate([app] if app else SMALL):
        with tempfile.TemporaryDirectory() as temporary, quick_trainings(one):
            sweep = Sweep(one, Path(temporary).resolve())
            for number, how in enumerate([mode] if mode else MODES):
                first = 1 + (2 * number + place) * int(step) // 4  # other moments for each
                checked = sweep.run(MODES[how], first, int(step))
                print(f"{one}, {how}: {checked} moments, every one well ended", flush=True)
    return 0


class Sweep:
    """A training, disturbed at one moment after the other."""

    def __init__(self, app: str, folder: Path):
        self.app, self.disk = app, Disk()
        self.data, self.start = folder / "data", folder / "start"
        self.work = folder / "work"
        self.data.mkdir()
        self.start.mkdir()
        write_data(self.data)
        source = "reviews.csv" if app == "sentiment" else "text.txt"
        places = f"--data {self.data / source} --run-dir {self.work / 'run'} "
        places += f"--output {self.work / 'models'}"
        self.arguments = [*places.split(), *SMALL[app].split()]
        if app == "chargen":  # over a finished run of other options, beside its model
            self.begin()
            assert self.train("--seed", "9")[0] == 0
            shutil.copytree(self.work, self.start, dirs_exist_ok=True)
        self.begin()
        self.disk.arm(self.work, -1, 0, 0)
        status, said = self.train()
        self.num_changes = self.disk.disarm()
        assert status == 0, said
        self.expected = contents(self.work)
        self.versions = sorted(p.name for p in (self.work / "models").iterdir())

    def begin(self) -> None:
        shutil.rmtree(self.work, ignore_errors=True)
        shutil.copytree(self.start, self.work)

    def train(self, *more: str) -> tuple[int, str]:
        commands = SENTIMENT if self.app == "sentiment" else CHARGEN
        said = io.StringIO()
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(said):
            arguments = ["train", *self.arguments, *more]
            status = cli.main(f"apps.{self.app}", "", commands, arguments)
        return status, said.getvalue()

    def run(self, mode: int, first: int, step: int) -> int:
        checked = 0
        for k in range(first, self.num_changes + 1, step):
            error = errno.ENOSPC if k % 2 else errno.EIO
            self.begin()
            self.disk.arm(self.work, k, mode, error)
            try:
                status, said = self.train()
            except Exception as exception:  # a dead process says nothing
                if mode == MODES["fail"]:
                    raise AssertionError(self.where(k)) from exception
                status, said = 2, ""
            finally:
                self.disk.disarm()
            where = self.where(k)
            if mode == MODES["fail"]:
                lines = said.splitlines()
                one_line = len(lines) == 1 and lines[0].startswith("error: ")
                named = os.strerror(error) in said and str(self.work) in said
                assert status == 0 or (status == 2 and one_line and named), (where, said)
            self.check_whole(where)
            status, said = self.train()
            assert status == 0, (where, said)
            compare(contents(self.work), self.expected, where)
            checked += 1
        return checked

    def where(self, k: int) -> str:
        return f"{k} of {self.num_changes}: {self.disk.failed_operation()}"

    def check_whole(self, where: str) -> None:
        """Whatever can be seen is whole: what was there before, or what will be."""
        seen = contents(self.work)
        before = contents(self.start)
        for name, content in seen.items():
            if "/.writing-" in f"/{name}" or "/checkpoints/step-" in name:
                continue
            possible = [before.get(name), self.expected.get(name)]
            if name.endswith(("history.csv", "samples.txt")):
                text = content
                assert any(p is not None and p.startswith(text) for p in possible), where
            elif not name.endswith((".png", "exported.json", "ids.npy")):
                assert content in possible, (where, name)
        for path in (self.work / "run" / "checkpoints").glob("step-*"):
            assert zipfile.ZipFile(path).testzip() is None, where
        models = self.work / "models"
        for path in models.glob("[0-9]*") if models.exists() else ():
            assert path.name in self.versions, (where, path.name)
            assert {p.name for p in path.iterdir()} == {
                "assets",
                "assets.extra",
                "fingerprint.pb",
                "saved_model.pb",
                "variables",
            }, where


def write_data(folder: Path) -> None:
    rng = np.random.default_rng(0)
    with (folder / "reviews.csv").open("w") as file:
        rows = csv.writer(file)
        rows.writerow(["text", "label"])
        for number in range(60):
            words = rng.choice(WORDS[number % 2 * 3 :][:6], 4)
            rows.writerow([" ".join(words) + f" {number}", number % 2])
    text = "".join(rng.choice(list("to be or"), 640))
    (folder / "text.txt").write_text(text)


def contents(folder: Path) -> dict[str, object]:
    """What a folder holds, without what differs from run to run."""
    found: dict[str, object] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_dir():
            continue
        if path.name.startswith(".writing-") or ".writing-" in name:
            found[name] = "unfinished"
        elif path.suffix == ".npz":
            found[name] = "checkpoint"
        elif path.suffix == ".keras":
            with zipfile.ZipFile(path) as file:
                found[name] = file.read("model.weights.h5")
        elif path.name in ("metrics.json", "config.json"):
            found[name] = without_times(json.loads(path.read_text()))
        elif path.name in ("history.csv", "samples.txt"):
            found[name] = path.read_text()
        elif "variables.data" in path.name:
            found[name] = path.read_bytes()
        else:  # traced graphs and pictures differ from process to process
            found[name] = "there"
    return found


def without_times(values: dict) -> dict:
    return {name: value for name, value in values.items() if name != "train_seconds"}


def compare(found: dict, expected: dict, where: str) -> None:
    assert sorted(found) == sorted(expected), (where, sorted(set(found) ^ set(expected)))
    for name, content in expected.items():
        assert found[name] == content, (where, name)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

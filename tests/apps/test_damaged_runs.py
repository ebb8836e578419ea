"""Folders of runs that two processes want, or in which files are damaged."""

import json
import shutil
import subprocess
import sys
import time

import pytest

from apps import cli
from apps.chargen.__main__ import COMMANDS as CHARGEN
from apps.sentiment.__main__ import COMMANDS as SENTIMENT

pytestmark = pytest.mark.slow

APPS = {"sentiment": SENTIMENT, "chargen": CHARGEN}
SMALL = {
    "sentiment": "--units 2 --embedding-dim 2 --batch-size 4 --patience 99999",
    "chargen": "--units 2 --num-layers 1 --batch-size 2 --window 8 --patience 99999",
}
TAIL = " Check the path, the rights and the disk.\n"


def run(app, arguments):
    return cli.main(f"apps.{app}", "", APPS[app], [str(a) for a in arguments])


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    rows = "".join(f"{'bad good'.split()[i % 2]} f{i},{i % 2}\n" for i in range(60))
    (folder / "sentiment.csv").write_text("text,label\n" + rows)
    (folder / "chargen.txt").write_text("the good film, the bad film.\n" * 20)
    return folder


def command(app, data, folder, epochs=2):
    path = next(data.glob(f"{app}.*"))
    places = ["--data", path, "--run-dir", folder / "run", "--output", folder / "models"]
    return ["train", *map(str, places), *SMALL[app].split(), "--epochs", str(epochs)]


@pytest.mark.slow
@pytest.mark.parametrize("app", ["sentiment"])
def test_one_process_trains_in_a_folder_and_a_killed_one_leaves_no_lock(
    data, tmp_path, capsys, app
):
    arguments = command(app, data, tmp_path, epochs=50_000)
    first = subprocess.Popen(
        [sys.executable, "-m", f"apps.{app}", *arguments], stdout=subprocess.DEVNULL
    )
    try:
        checkpoints = tmp_path / "run" / "checkpoints"
        while first.poll() is None and not list(checkpoints.glob("step-*")):
            time.sleep(0.05)
        for more in ([], ["--no-resume"]):
            assert run(app, [*arguments, *more]) == 2
            err = capsys.readouterr().err
            assert err == (
                f"error: {tmp_path / 'run'}: another process is training in this folder. "
                "Wait for its end, or use another --run-dir.\n"
            )
        seen = max(path.name for path in checkpoints.glob("step-*"))
        while first.poll() is None and max(p.name for p in checkpoints.glob("step-*")) == seen:
            time.sleep(0.05)
        assert first.poll() is None  # it has gone on
    finally:
        first.kill()
        first.wait()
    assert run(app, [*command(app, data, tmp_path, epochs=1), "--no-resume"]) == 0
    assert [path.name for path in (tmp_path / "models").iterdir()] == ["1"]


@pytest.fixture(scope="module", params=list(APPS))
def finished(request, data, tmp_path_factory):
    """An app, and the folder of a training of it that has come to its end."""
    folder = tmp_path_factory.mktemp(request.param)
    assert run(request.param, command(request.param, data, folder)) == 0
    return request.param, folder


DAMAGES = {
    "empty": lambda content: b"",
    "truncated": lambda content: content[: len(content) // 2],
    "binary": lambda content: bytes(range(256)),
    "list": lambda content: b"[1, 2]",
    "null": lambda content: b"null",
    "text": lambda content: b'"epoch"',
    "other": lambda content: b'{"weights": 1, "checksums": []}',
    "deep": lambda content: b"[" * 100_000,
}


def figures(folder):
    """What stands in the files of a run, but for how long it took."""
    found = {}
    for name in ("history.csv", "samples.txt", "metrics.json", "exported.json", "config.json"):
        path = folder / "run" / name
        if path.exists():
            found[name] = path.read_text("utf-8")
    for name in ("metrics.json", "config.json"):
        found[name] = json.loads(found[name])
        for option in ("train_seconds", "run_dir", "output"):
            found[name].pop(option, None)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["empty", "truncated", "list", "deep"])
def test_the_same_command_makes_damaged_files_whole(finished, data, tmp_path, damage):
    app, whole = finished
    shutil.copytree(whole, tmp_path, dirs_exist_ok=True)
    damaged = [n for n in figures(whole) if n != "config.json"]
    assert len(damaged) == (4 if app == "chargen" else 3)
    for name in damaged:
        path = tmp_path / "run" / name
        path.write_bytes(DAMAGES[damage](path.read_bytes()))
    assert run(app, command(app, data, tmp_path)) == 0
    again, before = figures(tmp_path), figures(whole)
    for found in (again, before):  # of another version, which is exported anew
        assert set(json.loads(found.pop("exported.json"))) == {"weights", "checksums"}
    assert again == before
    assert not list(tmp_path.rglob(".writing-*"))
    versions = {path.name for path in (tmp_path / "models").iterdir()}
    assert versions == {"1", "2"}  # that the first is of this run stood in the receipt only


@pytest.mark.slow
def test_a_damaged_config_is_said_and_no_resume_begins_anew(finished, data, tmp_path, capsys):
    app, whole = finished
    shutil.copytree(whole, tmp_path, dirs_exist_ok=True)
    path = tmp_path / "run" / "config.json"
    content = path.read_bytes()
    for name, damage in DAMAGES.items():
        if name == "other":  # which is no damage, but another program's
            continue
        path.write_bytes(damage(content))
        assert run(app, command(app, data, tmp_path)) == 2
        err = capsys.readouterr().err
        assert err.startswith(f"error: {path}: the file is damaged: ")
        assert "Use --no-resume to replace the run, or another --run-dir.\n" in err
        assert err.count("\n") == 1
        assert path.read_bytes() == damage(content)
    assert run(app, [*command(app, data, tmp_path), "--no-resume"]) == 0
    again, before = figures(tmp_path), figures(whole)
    for found in (again, before):
        del found["exported.json"], found["config.json"]
    assert again == before


@pytest.mark.slow
@pytest.mark.parametrize("name", ["history.csv", "exported.json"])
def test_a_folder_in_place_of_a_file_is_named(finished, data, tmp_path, capsys, name):
    app, whole = finished
    shutil.copytree(whole, tmp_path, dirs_exist_ok=True)
    (tmp_path / "run" / name).unlink()
    (tmp_path / "run" / name).mkdir()
    assert run(app, command(app, data, tmp_path)) == 2
    err = capsys.readouterr().err
    assert err == f"error: {tmp_path / 'run' / name}: Is a directory.{TAIL}"
    assert run(app, [*command(app, data, tmp_path), "--no-resume"]) == 0
    assert figures(tmp_path)["history.csv"] == figures(whole)["history.csv"]

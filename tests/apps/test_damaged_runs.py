"""Folders of runs that two trainings want, or in which files are damaged."""

import contextlib
import functools
import json
import shutil

import pytest

from apps import cli, run_dir
from apps.chargen.__main__ import COMMANDS as CHARGEN
from apps.sentiment.__main__ import COMMANDS as SENTIMENT
from tests.quick_trainings import quick_trainings

pytestmark = pytest.mark.slow

APPS = {"sentiment": SENTIMENT, "chargen": CHARGEN}
SMALL = {
    "sentiment": "--units 2 --embedding-dim 2 --batch-size 4 --patience 99999 --word-pairs 20",
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


@pytest.fixture(scope="module")
def finished(data, tmp_path_factory):
    """Gives the folder of a training of an app that has come to its end.

    All trainings have one model, which begins anew in each.
    """
    with contextlib.ExitStack() as stack:

        @functools.cache
        def finish(app):
            stack.enter_context(quick_trainings(app))
            folder = tmp_path_factory.mktemp(app)
            assert run(app, command(app, data, folder)) == 0
            return folder

        yield finish


each_app = pytest.mark.parametrize("app", APPS)


def test_a_training_goes_on_where_another_is_refused(
    finished, data, tmp_path, capsys, monkeypatch
):
    app = "sentiment"
    whole = finished(app)
    arguments = command(app, data, tmp_path)
    write_history, statuses = run_dir.write_history, []

    def write_and_train_again(path, rows):
        write_history(path, rows)
        if not statuses:  # after the first epoch
            capsys.readouterr()
            for more in ([], ["--no-resume"]):
                statuses.append(run(app, [*arguments, *more]))
                assert capsys.readouterr().err == (
                    f"error: {tmp_path / 'run'}: another process is training in this folder. "
                    "Wait for its end, or use another --run-dir.\n"
                )

    monkeypatch.setattr(run_dir, "write_history", write_and_train_again)
    assert run(app, arguments) == 0
    assert statuses == [2, 2]
    assert without_checksums(figures(tmp_path)) == without_checksums(figures(whole))
    assert [path.name for path in (tmp_path / "models").iterdir()] == ["1"]


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


def without_checksums(found):
    """Those of two versions of the same model differ."""
    exported = json.loads(found["exported.json"])
    assert set(exported) == {"weights", "checksums"}
    return {**found, "exported.json": exported["weights"]}


@pytest.mark.parametrize(
    ("app", "damage"),
    [
        ("sentiment", "empty"),
        ("sentiment", "list"),
        ("chargen", "truncated"),
        ("chargen", "deep"),
    ],
)
def test_the_same_command_makes_damaged_files_whole(finished, data, tmp_path, app, damage):
    whole = finished(app)
    shutil.copytree(whole, tmp_path, dirs_exist_ok=True)
    damaged = [n for n in figures(whole) if n != "config.json"]
    assert len(damaged) == (4 if app == "chargen" else 3)
    for name in damaged:
        path = tmp_path / "run" / name
        path.write_bytes(DAMAGES[damage](path.read_bytes()))
    assert run(app, command(app, data, tmp_path)) == 0
    assert without_checksums(figures(tmp_path)) == without_checksums(figures(whole))
    assert not list(tmp_path.rglob(".writing-*"))
    versions = {path.name for path in (tmp_path / "models").iterdir()}
    assert versions == {"1", "2"}  # that the first is of this run stood in the receipt only


@each_app
def test_a_damaged_config_is_said_and_no_resume_begins_anew(
    finished, data, tmp_path, capsys, app
):
    whole = finished(app)
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
    again, before = (without_checksums(figures(folder)) for folder in (tmp_path, whole))
    for found in (again, before):
        del found["config.json"]
    assert again == before


@pytest.mark.parametrize(
    ("app", "name"),
    [("sentiment", "history.csv"), ("chargen", "exported.json")],
)
def test_a_folder_in_place_of_a_file_is_named(finished, data, tmp_path, capsys, app, name):
    whole = finished(app)
    shutil.copytree(whole, tmp_path, dirs_exist_ok=True)
    (tmp_path / "run" / name).unlink()
    (tmp_path / "run" / name).mkdir()
    assert run(app, command(app, data, tmp_path)) == 2
    *warnings, error = capsys.readouterr().err.splitlines(keepends=True)
    assert all(line.startswith("warning: preset ") for line in warnings)
    assert error == f"error: {tmp_path / 'run' / name}: Is a directory.{TAIL}"
    assert run(app, [*command(app, data, tmp_path), "--no-resume"]) == 0
    assert figures(tmp_path)["history.csv"] == figures(whole)["history.csv"]

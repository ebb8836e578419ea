"""What a training run leaves behind."""

import dataclasses
import json
import math
import os

import pytest

from apps import run_dir as run_dir_module
from apps.errors import UserError
from apps.sentiment.config import PRESETS, Train


def prepare(run_dir, options, data="the data"):
    with run_dir_module.prepared(run_dir, "sentiment", options, data) as folder:
        return folder


def test_an_earlier_run_is_replaced(tmp_path):
    prepare(tmp_path, Train(seed=9))
    (tmp_path / "metrics.json").write_text("old")
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "step-0000000100.npz").touch()
    (tmp_path / "notes.txt").write_text("mine")
    folder = prepare(tmp_path, Train(run_dir=tmp_path))
    assert folder == tmp_path
    assert {p.name for p in folder.iterdir()} == {"config.json", "notes.txt"}
    assert json.loads((folder / "config.json").read_text())["run_dir"] == str(tmp_path)


@pytest.fixture
def unfinished(tmp_path):
    prepare(tmp_path, Train(seed=9))
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "step-0000000100.npz").touch()
    return tmp_path


@pytest.mark.parametrize("finished", [False, True])
def test_a_run_of_the_same_options_stays(unfinished, finished):
    assert run_dir_module.is_unfinished(unfinished)
    if finished:
        (unfinished / "metrics.json").write_text("{}")
    options = Train(seed=9, run_dir=unfinished, output=unfinished / "elsewhere")
    assert prepare(unfinished, options) == unfinished
    assert (unfinished / "checkpoints" / "step-0000000100.npz").exists()


@pytest.mark.parametrize(
    ("options", "data", "differs"),
    [
        (Train(units=7), "the data", r"--seed, --units"),
        (Train(seed=9), "other data", "the data themselves"),
    ],
)
def test_an_unfinished_run_of_something_else_is_refused(unfinished, options, data, differs):
    with pytest.raises(UserError, match=rf"differs in {differs}\).*--no-resume"):
        prepare(unfinished, options, data)
    assert (unfinished / "checkpoints" / "step-0000000100.npz").exists()
    assert json.loads((unfinished / "config.json").read_text())["seed"] == 9


@pytest.mark.parametrize("seed", [9, 3])
def test_no_resume_replaces_an_unfinished_run(unfinished, seed):
    prepare(unfinished, Train(seed=seed, resume=False))
    assert not (unfinished / "checkpoints").exists()


def test_what_a_killed_process_left_is_taken_away(unfinished):
    (unfinished / ".writing-history.csv").write_text("half")
    prepare(unfinished, Train(seed=9))
    assert {p.name for p in unfinished.iterdir()} == {"config.json", "checkpoints"}


def test_an_interrupted_run_says_how_to_go_on(unfinished, tmp_path_factory):
    options, new = Train(seed=9), tmp_path_factory.mktemp("new")
    for folder, said in ((unfinished, (f"with --run-dir {unfinished}",)), (new, ())):
        prepared = run_dir_module.prepared(folder, "sentiment", options, "the data")
        with pytest.raises(KeyboardInterrupt) as raised, prepared:
            raise KeyboardInterrupt
        assert len(raised.value.args) == len(said)
        assert all(text in raised.value.args[0] for text in said)


def test_a_second_process_is_refused(unfinished):
    with run_dir_module.prepared(unfinished, "sentiment", Train(seed=9), "the data"):
        with pytest.raises(UserError, match="another process is training in this folder"):
            prepare(unfinished, Train(seed=9, resume=False))
        assert (unfinished / "checkpoints").exists()
    prepare(unfinished, Train(seed=9))


def test_a_history_is_written_whole(tmp_path):
    path = tmp_path / "history.csv"
    path.write_bytes(b"\xffdamaged")
    run_dir_module.write_history(path, [{"loss": 0.5, "accuracy": 0.1}, {"loss": 0.25}])
    assert path.read_text() == "epoch,accuracy,loss\n0,0.1,0.5\n1,,0.25\n"


def test_a_run_without_a_folder_gets_one_named_by_its_time(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = prepare(None, Train())
    assert folder.parent.as_posix() == "runs/sentiment"
    assert (folder / "config.json").is_file()


@pytest.mark.parametrize("name", ["config.json", "checkpoints", "history.csv"])
def test_a_folder_of_something_else_is_left_alone(tmp_path, name):
    (tmp_path / name).mkdir() if name == "checkpoints" else (tmp_path / name).write_text("{}")
    with pytest.raises(UserError, match="no run of sentiment"):
        prepare(tmp_path, Train())
    assert [p.name for p in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("content", ["", "[]", "{}", "null", "[" * 10_000, "\x00", '{"seed": '])
def test_a_run_whose_config_is_damaged_is_replaced_on_demand_only(unfinished, content):
    (unfinished / "config.json").write_text(content)
    message = r"config.json: the file is damaged: .* Use --no-resume to replace the run"
    with pytest.raises(UserError, match=message):
        prepare(unfinished, Train(seed=9))
    assert (unfinished / "checkpoints" / "step-0000000100.npz").exists()
    prepare(unfinished, Train(seed=9, resume=False))
    assert [path.name for path in unfinished.iterdir()] == ["config.json"]
    assert json.loads((unfinished / "config.json").read_text())["seed"] == 9


@pytest.mark.parametrize("content", [None, '{"mine": 1}'])
@pytest.mark.parametrize("resume", [True, False])
def test_checkpoints_of_another_program_are_left_alone(unfinished, content, resume):
    (unfinished / "config.json").unlink()
    if content is not None:
        (unfinished / "config.json").write_text(content)
    with pytest.raises(UserError, match="no run of sentiment"):
        prepare(unfinished, Train(seed=9, resume=resume))
    assert (unfinished / "checkpoints" / "step-0000000100.npz").exists()


def test_figures_are_written_as_json_that_every_program_reads(tmp_path):
    run_dir_module.write_json(tmp_path / "metrics.json", {"loss": math.nan})
    assert json.loads((tmp_path / "metrics.json").read_text()) == {"loss": None}


def test_json_that_cannot_be_written_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "metrics.json"
    run_dir_module.write_json(path, {"a": 1})

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="No space left"):
        run_dir_module.write_json(path, {"a": 2})
    assert json.loads(path.read_text()) == {"a": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["metrics.json"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (Train(), "python -m apps.sentiment train"),
        (
            Train(data="packaged", seed=3),
            "python -m apps.sentiment train --data packaged --seed 3",
        ),
        (Train(bidirectional=False), "python -m apps.sentiment train --no-bidirectional"),
        (
            dataclasses.replace(PRESETS["classic"], bidirectional=True),
            "python -m apps.sentiment train --preset classic --bidirectional",
        ),
        (
            Train(data="my reviews.csv"),
            "python -m apps.sentiment train --data 'my reviews.csv'",
        ),
        (PRESETS["classic"], "python -m apps.sentiment train --preset classic"),
    ],
)
def test_the_command_of_a_run_can_be_told_from_its_options(options, expected):
    assert (
        run_dir_module.command_line("sentiment", options, PRESETS[options.preset]) == expected
    )


def test_a_history_becomes_a_picture(tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib comes with the extra viz")
    history = {name: [0.5, 0.4] for name in ("loss", "accuracy", "val_loss", "val_accuracy")}
    run_dir_module.plot_history(history, tmp_path / "history.png")
    assert (tmp_path / "history.png").read_bytes().startswith(b"\x89PNG")

"""What a training run leaves behind."""

import dataclasses
import json
import os

import pytest

from apps import run_dir
from apps.cli import UserError
from apps.sentiment.config import PRESETS, Train


def test_an_earlier_run_is_replaced(tmp_path):
    run_dir.prepare(tmp_path, "sentiment", Train(seed=9))
    (tmp_path / "metrics.json").write_text("old")
    (tmp_path / "checkpoints" / "best.keras").touch()
    (tmp_path / "notes.txt").write_text("mine")
    folder = run_dir.prepare(tmp_path, "sentiment", Train(run_dir=tmp_path))
    assert folder == tmp_path
    assert {p.name for p in folder.iterdir()} == {"checkpoints", "config.json", "notes.txt"}
    assert not any((folder / "checkpoints").iterdir())
    assert json.loads((folder / "config.json").read_text())["run_dir"] == str(tmp_path)


@pytest.fixture
def unfinished(tmp_path):
    run_dir.prepare(tmp_path, "sentiment", Train(seed=9))
    (tmp_path / "checkpoints" / "step-0000000100.npz").touch()
    return tmp_path


def test_an_unfinished_run_of_the_same_options_stays(unfinished):
    assert run_dir.is_unfinished(unfinished)
    options = Train(seed=9, run_dir=unfinished, output=unfinished / "elsewhere")
    assert run_dir.prepare(unfinished, "sentiment", options) == unfinished
    assert (unfinished / "checkpoints" / "step-0000000100.npz").exists()


def test_an_unfinished_run_of_other_options_is_refused(unfinished):
    with pytest.raises(UserError, match=r"differs in --units, --seed\).*--no-resume"):
        run_dir.prepare(unfinished, "sentiment", Train(units=7))
    assert (unfinished / "checkpoints" / "step-0000000100.npz").exists()
    assert json.loads((unfinished / "config.json").read_text())["seed"] == 9


@pytest.mark.parametrize("seed", [9, 3])
def test_no_resume_replaces_an_unfinished_run(unfinished, seed):
    run_dir.prepare(unfinished, "sentiment", Train(seed=seed, resume=False))
    assert not any((unfinished / "checkpoints").iterdir())


def test_a_history_is_written_epoch_by_epoch(tmp_path):
    path = tmp_path / "history.csv"
    for epoch in (0, 1, 2, 1):  # the second time after an interruption
        run_dir.add_to_history(path, epoch, {"loss": 0.5 / (epoch + 1), "accuracy": 0.1})
    assert path.read_text() == "epoch,accuracy,loss\n0,0.1,0.5\n1,0.1,0.25\n"


def test_a_run_without_a_folder_gets_one_named_by_its_time(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = run_dir.prepare(None, "sentiment", Train())
    assert folder.parent.as_posix() == "runs/sentiment"
    assert (folder / "config.json").is_file()


@pytest.mark.parametrize("name", ["config.json", "checkpoints", "history.csv"])
def test_a_folder_of_something_else_is_left_alone(tmp_path, name):
    (tmp_path / name).mkdir() if name == "checkpoints" else (tmp_path / name).write_text("{}")
    with pytest.raises(UserError, match="no run of sentiment"):
        run_dir.prepare(tmp_path, "sentiment", Train())
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_json_that_cannot_be_written_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "metrics.json"
    run_dir.write_json(path, {"a": 1})

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="No space left"):
        run_dir.write_json(path, {"a": 2})
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
    assert run_dir.command_line("sentiment", options, PRESETS[options.preset]) == expected


def test_a_history_becomes_a_picture(tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib comes with the extra viz")
    history = {name: [0.5, 0.4] for name in ("loss", "accuracy", "val_loss", "val_accuracy")}
    run_dir.plot_history(history, tmp_path / "history.png")
    assert (tmp_path / "history.png").read_bytes().startswith(b"\x89PNG")

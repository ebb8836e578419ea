"""What a training run leaves behind."""

import json

import pytest

from apps import run_dir
from apps.sentiment.config import PRESETS, Train


def test_an_earlier_run_is_replaced(tmp_path):
    (tmp_path / "metrics.json").write_text("old")
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "best.keras").touch()
    (tmp_path / "notes.txt").write_text("mine")
    folder = run_dir.prepare(tmp_path, "sentiment", Train(run_dir=tmp_path))
    assert folder == tmp_path
    assert {p.name for p in folder.iterdir()} == {"checkpoints", "config.json", "notes.txt"}
    assert not any((folder / "checkpoints").iterdir())
    assert json.loads((folder / "config.json").read_text())["run_dir"] == str(tmp_path)


def test_a_run_without_a_folder_gets_one_named_by_its_time(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = run_dir.prepare(None, "sentiment", Train())
    assert folder.parent.as_posix() == "runs/sentiment"
    assert (folder / "config.json").is_file()


def test_json_that_cannot_be_written_leaves_the_old_file(tmp_path):
    path = tmp_path / "metrics.json"
    run_dir.write_json(path, {"a": 1})
    with pytest.raises(TypeError):
        run_dir.write_json(path, {"a": object()})
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
        (PRESETS["classic"], "python -m apps.sentiment train --preset classic"),
    ],
)
def test_the_command_of_a_run_can_be_told_from_its_options(options, expected):
    assert run_dir.command_line("sentiment", options, PRESETS[options.preset]) == expected


def test_a_history_becomes_a_picture(tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib comes with the extra viz")
    history = {name: [0.5, 0.4] for name in ("loss", "accuracy", "val_loss", "val_accuracy")}
    assert run_dir.plot_history(history, tmp_path / "history.png")
    assert (tmp_path / "history.png").read_bytes().startswith(b"\x89PNG")

"""The line that names the model that a command uses."""

import json

import pytest

from apps.exported import announce


def make_versions(folder, configs):
    """Versions from 1 on, of which no more is there than their configurations."""
    for version, config in enumerate(configs, 1):
        extra = folder / str(version) / "assets.extra"
        extra.mkdir(parents=True)
        if config is not None:
            (extra / "config.json").write_text(json.dumps(config))


ACCURATE = {"validation_loss": 0.31, "validation_accuracy": 0.88564}


@pytest.mark.parametrize(
    ("configs", "notes"),
    [
        ([None], ""),
        ([{"units": 3}], ""),
        ([{"validation_accuracy": "high", "validation_loss": None}], ""),
        ([{"validation_loss": 1.44049}], " (validation loss 1.4405)"),
        ([ACCURATE], " (validation accuracy 0.8856)"),
        ([ACCURATE, None], " (newest of 2, choose with --model)"),
        (
            [None, None, ACCURATE],
            " (validation accuracy 0.8856; newest of 3, choose with --model)",
        ),
    ],
)
def test_the_newest_version_is_named_with_what_is_known_of_it(tmp_path, capsys, configs, notes):
    make_versions(tmp_path, configs)
    newest = tmp_path / str(len(configs))
    announce(tmp_path, newest)
    assert capsys.readouterr() == ("", f"model: {newest}{notes}\n")


def test_who_names_a_version_has_chosen(tmp_path, capsys):
    make_versions(tmp_path, [ACCURATE, None])
    announce(tmp_path / "1", tmp_path / "1")
    named = f"model: {tmp_path / '1'} (validation accuracy 0.8856)\n"
    assert capsys.readouterr() == ("", named)


def test_a_model_found_in_the_clone_is_one_of_those_there(tmp_path, capsys, monkeypatch):
    """Where the working directory has no models, those of a clone are taken."""
    make_versions(tmp_path / "clone", [None, None])
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    found = tmp_path / "clone" / "2"
    announce(tmp_path / "saved_models" / "sentiment", found)
    assert capsys.readouterr().err == f"model: {found} (newest of 2, choose with --model)\n"

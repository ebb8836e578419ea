"""The README's training snippets, run as they stand."""

import re
from pathlib import Path

import pytest

README = Path(__file__).parent.parent / "README.md"


def snippets_of(title):
    section = README.read_text(encoding="utf-8").split(f"# {title}\n")[1]
    section = re.split(r"\n##+ ", section)[0]
    return re.findall(r"```python\n(.*?)```", section, re.DOTALL)


def test_the_language_model_snippet_runs(capsys):
    (snippet,) = snippets_of("A language model in Python")
    names: dict = {}
    exec(snippet, names)
    assert names["lm"].score(names["text"]).nats_per_character < 1
    assert "Score(nats_per_character=" in capsys.readouterr().out


def test_the_training_snippets_run(tmp_path, monkeypatch, capsys):
    pytest.importorskip("matplotlib", reason="the last snippet draws a plot")
    monkeypatch.chdir(tmp_path)
    snippets = snippets_of("Train over long sequences")
    assert len(snippets) == 4
    names: dict = {}
    weights = []
    for snippet in snippets:
        exec(snippet, names)
        weights.append([w.tolist() for w in names["model"].get_weights()])
    assert weights[0] == weights[1]
    assert names["history"].history["bits_per_character"][-1] < 3
    assert (tmp_path / "exposure_bias.png").exists()
    assert (tmp_path / "runs" / "hamlet" / "checkpoints").is_dir()

"""What the README shows, run as it stands."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
CLIENTS = ("serve_tensorflow.py", "serve_openvino.py", "serve.c")


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
    assert len(snippets) == 5
    names: dict = {}
    weights = []
    for snippet in snippets:
        exec(snippet, names)
        weights.append([w.tolist() for w in names["model"].get_weights()])
    assert weights[0] == weights[1] == weights[2]
    assert names["history"].history["bits_per_character"][-1] < 3
    assert (tmp_path / "exposure_bias.png").exists()
    assert (tmp_path / "runs" / "hamlet" / "checkpoints").is_dir()


def test_the_snippets_on_forgetting_run(tmp_path, monkeypatch, capsys):
    pytest.importorskip("matplotlib", reason="gradient_flow.png is drawn")
    pytest.importorskip("tensorboard", reason="the callback writes for it")
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    first, second = snippets_of("See why a plain RNN forgets")
    exec(first, names)
    name, verdict = capsys.readouterr().out.splitlines()[0].split(": ", 1)
    assert name.startswith("simple_rnn")
    assert f"\nsimple_rnn: {verdict}\n" in section_of("See why a plain RNN forgets")
    assert (tmp_path / "gradient_flow.png").exists()
    exec(second.replace("simple_rnn", name), names)
    assert list((tmp_path / "runs" / "tensorboard").iterdir())


def section_of(title):
    return README.read_text(encoding="utf-8").split(f"\n## {title}\n")[1].split("\n## ")[0]


@pytest.mark.parametrize("name", CLIENTS)
def test_the_programs_shown_are_those_of_the_tests(name):
    assert f"\n{(ROOT / 'tests' / 'clients' / name).read_text()}```" in section_of(
        "Serve the models"
    )

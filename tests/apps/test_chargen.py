"""The chargen app from end to end, on a small text in Greek script."""

import csv
import io
import json
import math
import re
import shlex
import shutil
import sys
from pathlib import Path

import keras
import pytest
import tensorflow as tf

import kerasrnn
from apps import cli
from apps.chargen import config, evaluate, train
from apps.chargen.__main__ import COMMANDS
from apps.chargen.layers import read_layers
from apps.chargen.sizes import count_weights
from apps.errors import UserError

# ruff: noqa: RUF001 (Greek letters that look like Latin ones)
TEXT = "μῆνιν ἄειδε θεὰ Πηληϊάδεω Ἀχιλῆος\nοὐλομένην, ἣ μυρί᾽ Ἀχαιοῖς ἄλγε᾽ ἔθηκε\n" * 60
SMALL = (
    "--units 24 --num-layers 1 --epochs 4 --batch-size 8 --window 32 --learning-rate 0.02 "
    "--dropout 0.05 --seed 1"
).split()


pytestmark = pytest.mark.usefixtures("loaded_once")


def run(*arguments):
    return cli.main("apps.chargen", "", COMMANDS, [str(a) for a in arguments])


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "iliad.txt"
    path.write_text(TEXT, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def trained(text, tmp_path_factory):
    """Folders of a training: the run, and the exported models."""
    folder = tmp_path_factory.mktemp("trained")
    places = ["--data", text, "--run-dir", folder / "run", "--output", folder / "models"]
    assert run("train", *places, *SMALL) == 0
    return folder


@pytest.mark.slow
def test_training_learns_and_leaves_its_figures(trained):
    metrics = json.loads((trained / "run" / "metrics.json").read_text())
    assert metrics["validation_loss"] < 1.0
    assert metrics["nanogpt_split_loss"] < 1.0
    bits = metrics["validation_loss"] / math.log(2)
    assert metrics["bits_per_character"] == pytest.approx(bits)
    assert metrics["train_seconds"] > 0
    assert metrics["num_parameters"] > 24 * 24
    assert sum(metrics["split_sizes"].values()) == len(TEXT)
    rows = list(csv.DictReader((trained / "run" / "history.csv").read_text().splitlines()))
    assert len(rows) == metrics["epochs"] == 4
    assert {"loss", "val_loss", "val_perplexity", "val_bits_per_character"} <= set(rows[0])
    samples = (trained / "run" / "samples.txt").read_text("utf-8")
    assert samples.count("nats/character") == 4
    assert not (trained / "run" / "ids.npy").exists()


@pytest.mark.slow
def test_the_figures_are_those_of_the_best_weights(trained):
    model = keras.saving.load_model(trained / "run" / "checkpoints" / "best.keras")
    metrics = json.loads((trained / "run" / "metrics.json").read_text())
    last = sum(metrics["split_sizes"][name] for name in ("validation", "test"))
    score = model.score(TEXT[-last:])
    assert score.nats_per_character == pytest.approx(metrics["nanogpt_split_loss"], rel=1e-4)


@pytest.mark.slow
def test_training_exports_a_version_with_its_card(trained):
    (version,) = (trained / "models").iterdir()
    assert version.name == "1"
    options = json.loads((version / "assets.extra" / "config.json").read_text())
    assert options["units"] == 24
    card = (version / "assets.extra" / "model_card.md").read_text("utf-8")
    assert "python -m apps.chargen train --data" in card
    assert "--units 24" in card
    vocabulary = kerasrnn.CharacterVocabulary.load(version / "assets" / "vocabulary.txt")
    assert "ἄ" in vocabulary.characters


@pytest.mark.slow
def test_training_ends_with_the_command_that_asks_its_model(trained, text, tmp_path, capsys):
    run_dir = shutil.copytree(trained / "run", tmp_path / "run")
    places = ["--data", text, "--run-dir", run_dir, "--output", tmp_path / "my models"]
    assert run("train", *places, *SMALL) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    model = tmp_path / "my models" / "1"
    asked = ["python", "-m", "apps.chargen", "sample", "--model", str(model)]
    assert shlex.split(last.removeprefix("try it: ")) == asked
    metrics = json.loads((run_dir / "metrics.json").read_text())
    assert run(*asked[3:], "--length", 8) == 0
    captured = capsys.readouterr()
    assert len(captured.out) == 9
    figure = f"validation loss {metrics['validation_loss']:.4f}"
    assert captured.err == f"model: {model} ({figure})\n"


@pytest.mark.slow
def test_a_sample_is_what_the_model_generates(trained, capsys):
    arguments = ["--prompt", "θεὰ", "--length", 50, "--temperature", 0.5, "--seed", 3]
    assert run("sample", "--model", trained / "models", *arguments, "--top-k", 4) == 0
    model = keras.saving.load_model(trained / "run" / "checkpoints" / "best.keras")
    written = model.generate("θεὰ", 50, 0.5, top_k=4, seed=3)
    assert capsys.readouterr().out == f"θεὰ{written}\n"
    signature = tf.saved_model.load(str(trained / "models" / "1")).signatures["serving_default"]
    served = signature(
        text=tf.constant(["θεὰ"]),
        length=tf.constant(50),
        temperature=tf.constant(0.5),
        seed=tf.constant(3),
    )["text"]
    assert served.numpy()[0].decode("utf-8") == model.generate("θεὰ", 50, 0.5, seed=3)


@pytest.mark.slow
def test_several_samples_go_into_a_file(trained, tmp_path, capsys):
    output = tmp_path / "samples.txt"
    options = ["--num", 3, "--length", 20, "--temperature", 2, "--seed", 0]
    arguments = ["--prompt", "θεὰ", *options, "--output", output]
    assert run("sample", "--model", trained / "models", *arguments) == 0
    texts = output.read_text("utf-8").split("-" * 15 + "\n")
    assert len(set(texts)) == 3
    assert all(text.startswith("θεὰ") and len(text) == 24 for text in texts)
    assert capsys.readouterr().out == ""
    assert run("sample", "--model", trained / "models", "--length", 0, "--num", 2) == 0
    assert capsys.readouterr().out == "\n" + "-" * 15 + "\n\n"


@pytest.mark.slow
def test_an_interactive_session_goes_on_from_each_line(trained, capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO("θεὰ\nq\n\nmore\n"))
    arguments = ["--interactive", "--length", 10, "--seed", 1]
    assert run("sample", "--model", trained / "models", *arguments) == 0
    captured = capsys.readouterr()
    assert captured.out.startswith("θεὰ")
    assert "more" not in captured.out
    assert "has never seen 'q'" in captured.err


@pytest.mark.slow
def test_evaluate_scores_a_text(trained, text, capsys):
    assert run("evaluate", "--model", trained / "models", "--data", text) == 0
    captured = capsys.readouterr()
    assert "nats/character" in captured.out
    assert "trained on most of a file or folder with this name" in captured.err
    assert run("evaluate", "--model", trained / "models", "--data", text, "--json") == 0
    scores = json.loads(capsys.readouterr().out)
    model = keras.saving.load_model(trained / "run" / "checkpoints" / "best.keras")
    expected = model.score(TEXT)
    assert scores["nats_per_character"] == pytest.approx(expected.nats_per_character, rel=1e-4)
    assert scores["bits_per_character"] == pytest.approx(expected.bits_per_character, rel=1e-4)
    assert scores["num_characters"] == len(TEXT) - 1
    assert scores["num_unknown"] == 0


@pytest.mark.slow
def test_evaluate_counts_what_the_model_has_never_seen(trained, tmp_path, capsys):
    (tmp_path / "t.txt").write_text("xθεὰzz")
    arguments = ["--data", tmp_path / "t.txt", "--json"]
    assert run("evaluate", "--model", trained / "models", *arguments) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["num_unknown"] == 2  # the first is not scored
    assert "warning" not in captured.err


@pytest.mark.parametrize(
    ("trained_on", "source", "warned"),
    [
        (
            "tfds tiny_shakespeare 1.0.0",
            "packaged plays of Shakespeare (x 1), test split",
            True,
        ),
        (
            "packaged plays of Shakespeare (x 1)",
            "tfds tiny_shakespeare 1.0.0, test split",
            True,
        ),
        ("tfds tiny_shakespeare 1.0.0", "tfds tiny_shakespeare 1.0.0, test split", False),
        ("own.txt", "packaged plays of Shakespeare (x 1), test split", False),
    ],
)
def test_plays_of_another_source_were_seen_in_training(
    trained_on, source, warned, capsys, monkeypatch
):
    monkeypatch.setattr(evaluate, "read_config", lambda _: {"data_source": trained_on})
    evaluate.warn_of_training_text(Path("model"), source, is_test_split=True)
    assert ("trained on some of these plays" in capsys.readouterr().err) == warned


@pytest.mark.slow
def test_a_run_goes_on_with_its_own_text_and_options_only(trained, tmp_path, capsys):
    shutil.copytree(trained / "run", tmp_path / "run")
    (tmp_path / "run" / "metrics.json").unlink()  # it has not come to its end
    data = tmp_path / "t.txt"
    data.write_text(TEXT[::-1], encoding="utf-8")
    places = ["--data", data, "--run-dir", tmp_path / "run", "--output", tmp_path / "m"]
    assert run("train", *places, *SMALL, "--units", 9) == 2
    err = capsys.readouterr().err
    assert "it differs in --data, --units, the data themselves)" in err


@pytest.mark.slow
def test_fine_tuning_begins_with_the_model(trained, tmp_path, capsys, without_export):
    (tmp_path / "more.txt").write_text(TEXT.replace("θεὰ", "μῆνιν"), encoding="utf-8")
    places = ["--run-dir", tmp_path / "run", "--output", tmp_path / "models"]
    options = ["--data", tmp_path / "more.txt", "--epochs", 1, "--batch-size", 8]
    init = ["--init-from", trained / "models", "--window", 32, "--learning-rate", 1e-4]
    init += ["--units", 24]  # as the model has
    assert run("train", *options, *places, *init) == 0
    assert "beginning with" in capsys.readouterr().out
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert metrics["validation_loss"] < 1.5  # from scratch it would be above 3
    tuned = json.loads((tmp_path / "run" / "config.json").read_text())
    assert tuned["init_from"].endswith("models/1")
    assert (tuned["units"], tuned["num_layers"]) == (24, 1)  # of the model, not the defaults


@pytest.mark.slow
def test_fine_tuning_refuses_another_vocabulary(trained, tmp_path, capsys):
    (tmp_path / "latin.txt").write_text("arma virumque cano " * 200)
    places = ["--run-dir", tmp_path / "run", "--output", tmp_path / "models"]
    init = ["--init-from", trained / "models", "--window", 8]
    assert run("train", "--data", tmp_path / "latin.txt", *places, *init) == 2
    err = capsys.readouterr().err.splitlines()[-1]
    assert "the model has another vocabulary: it does not know" in err
    assert "'a'" in err
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_fine_tuning_refuses_other_layers(trained, text, tmp_path, capsys):
    places = ["--run-dir", tmp_path / "run", "--output", tmp_path / "models"]
    init = ["--init-from", trained / "models", "--window", 32, "--units", 25]
    assert run("train", "--data", text, *places, *init) == 2
    err = capsys.readouterr().err
    assert "the model has units=24, got --units (25)" in err.splitlines()[-1]
    assert not (tmp_path / "run").exists()


def test_a_model_to_begin_with_that_is_not_there_is_said(text, tmp_path, capsys):
    places = ["--run-dir", tmp_path / "run", "--output", tmp_path / "models"]
    arguments = ["--data", text, *places, *SMALL, "--init-from", tmp_path / "none"]
    assert run("train", *arguments) == 2
    assert "there is no such folder" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the text is empty"),
        (b"ab" * 50, "90 characters for training are too few for 8 places"),
        (b"a" * 5000, "the text has a single character, 'a'"),
        (b"ab" * 500 + b"\n\xff", "line 2: byte 1002 of the file is not UTF-8"),
    ],
)
def test_a_text_that_cannot_be_learned_is_refused(tmp_path, capsys, content, message):
    (tmp_path / "t.txt").write_bytes(content)
    places = ["--run-dir", tmp_path / "run", "--output", tmp_path / "models"]
    assert run("train", "--data", tmp_path / "t.txt", *places, *SMALL) == 2
    err = capsys.readouterr().err
    assert message in err.splitlines()[-1]
    assert [path.name for path in tmp_path.iterdir()] == ["t.txt"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--temperature", -1], "--temperature must lie in [0, 1e6], got -1.0"),
        (["--temperature", 1e39], "--temperature must lie in"),
        (["--top-k", 0], "--top-k must be from 1 to"),
        (["--top-k", 1000], "--top-k must not be above"),
        (["--top-p", 0], "--top-p must lie in (0, 1]"),
        (["--length", -1], "--length must be from 0 to"),
        (["--num", 0], "--num must be from 1 to 100,000, got 0"),
        (["--prompt", "caf\udce9"], "--prompt: character 4 is no valid Unicode"),
        (["--interactive", "--num", 2], "leave out --prompt, --num and --output"),
        (["--output", "/no/such/folder/x.txt"], "there is no such folder"),
        (["--output", "/"], "this is a folder. Name a file"),
        (["--model", "/no/such/model"], "there is no such folder. Train one"),
    ],
)
def test_a_sample_that_cannot_be_written_is_refused(trained, capsys, arguments, message):
    assert run("sample", "--model", trained / "models", *arguments) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.err.count("\n") == 1
    assert captured.out == ""


@pytest.mark.slow
def test_prompts_may_be_empty_or_unknown(trained, capsys):
    assert run("sample", "--model", trained / "models", "--length", 12, "--seed", 0) == 0
    assert len(capsys.readouterr().out) == 13
    arguments = ["--prompt", "Zß", "--length", 12, "--seed", 0]
    assert run("sample", "--model", trained / "models", *arguments) == 0
    captured = capsys.readouterr()
    assert captured.out.startswith("Zß")
    assert "the model has never seen 'Z' 'ß'" in captured.err


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"units": -1}, "--units must be from 1"),
        ({"units": 10**12}, "--units must be from 1"),
        ({"units": "24"}, "units is '24'"),
        ({"units": 24.0}, "units is '24.0'"),
        ({"units": True}, "units is 'True'"),
        ({"units": 25}, "weights belong to other layers"),
        ({"num_layers": 3}, "weights belong to other layers"),
        ({"tie_weights": True}, "weights belong to other layers"),
        ({"residual": "yes"}, "residual is 'yes'"),
        ({"cell": "elman"}, "cell is 'elman'"),
        ({"cell": ["vanilla"]}, "cell is"),
        ({"embedding_dim": {}}, "embedding_dim is '{}'"),
        (None, "no cell"),
    ],
)
def test_options_that_tell_of_other_layers_are_refused(tmp_path, change, reason):
    options = config.Train(cell="vanilla", units=24, num_layers=2, embedding_dim=None)
    layers = {name: getattr(options, name) for name in train.LAYERS}
    found = {} if change is None else {**layers, **change}
    (tmp_path / "assets.extra").mkdir()
    (tmp_path / "assets.extra" / "config.json").write_text(json.dumps(found))
    with pytest.raises(UserError, match=re.escape(reason)):
        read_layers(tmp_path, 40, count_weights(options, 40))


@pytest.mark.slow
def test_a_model_of_other_layers_is_not_begun_with(trained, text, tmp_path, capsys):
    shutil.copytree(trained / "models" / "1", tmp_path / "1")
    (tmp_path / "1" / "assets.extra" / "SHA256SUMS").unlink()
    config_file = tmp_path / "1" / "assets.extra" / "config.json"
    config_file.write_text(json.dumps({**json.loads(config_file.read_text()), "units": 25}))
    places = ["--run-dir", tmp_path / "run", "--output", tmp_path / "models"]
    assert run("train", "--data", text, *places, "--init-from", tmp_path / "1") == 2
    err = capsys.readouterr().err
    assert "is not one that apps.chargen has trained" in err
    assert "weights belong to other layers" in err
    assert err.count("\n") == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_training_that_diverges_says_so_in_one_line_and_publishes_nothing(
    text, tmp_path, capsys
):
    places = ["--data", text, "--run-dir", tmp_path / "run", "--output", tmp_path / "models"]
    assert run("train", *places, *SMALL, "--epochs", 1, "--learning-rate", "1e38") == 2
    err = capsys.readouterr().err
    assert err.startswith(
        "error: the training has diverged: step 3 is not finite: its loss is "
    )
    assert err.endswith(". Use a smaller --learning-rate or --global-clipnorm.\n")
    assert err.count("\n") == 1
    left = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")}
    assert not [path for path in left if ".writing-" in path or path.startswith("models/")]
    assert not {"run/metrics.json", "run/checkpoints/best.keras", "run/ids.npy"} & left


ALMOST_ONE = 1 - 2**-53
"""The largest number below 1, which is 1 in float32."""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("extremes", "learns"),
    [
        (
            {
                "global_clipnorm": cli.FLOATS[0],
                "dropout": ALMOST_ONE,
                "recurrent_dropout": ALMOST_ONE,
            },
            False,
        ),
        ({"global_clipnorm": cli.FLOATS[1], "warmup_steps": cli.COUNT}, True),
    ],
)
def test_what_is_allowed_at_most_trains(extremes, learns):
    options = config.Train(units=4, num_layers=1, batch_size=8, window=8, **extremes)
    vocabulary = kerasrnn.CharacterVocabulary.from_text(TEXT)
    stream = kerasrnn.Stream.from_tokens(vocabulary.encode(TEXT[:600]), options.batch_size)
    model = train.make_model(vocabulary, options, num_steps=9)
    before = model.get_weights()
    loss = model.fit(stream, validation_data=stream, verbose=0).history["val_loss"][0]
    assert 0 < loss < 5
    changes = [abs(a - b).max() for a, b in zip(model.get_weights(), before, strict=True)]
    assert (max(changes) > 1e-4) == learns


def refuse(constant):
    raise AssertionError(constant)


@pytest.mark.slow
def test_figures_that_are_no_numbers_are_json_all_the_same(trained, text, capsys, monkeypatch):
    monkeypatch.setattr("apps.chargen.evaluate.perplexity", lambda _: math.inf)
    arguments = ["--model", trained / "models", "--data", text, "--json"]
    assert run("evaluate", *arguments) == 0
    found = json.loads(capsys.readouterr().out, parse_constant=refuse)
    assert found["perplexity"] is None


@pytest.mark.slow
def test_an_interactive_line_that_is_not_utf8_is_said(trained, capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"ab\xff\n"), "utf-8"))
    assert run("sample", "--model", trained / "models", "--interactive") == 2
    assert "standard input: character 3 is no valid Unicode" in capsys.readouterr().err


def test_the_best_preset_is_the_larger_one():
    fast, best = config.PRESETS["fast"], config.PRESETS["best"]
    assert fast == config.Train()
    assert best.preset == "best"
    assert best.units > fast.units
    assert best.steps > fast.steps

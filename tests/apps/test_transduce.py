"""The app that turns texts into texts, from end to end."""

import csv
import io
import json
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import kerasrnn
from apps import cli
from apps.transduce import config, data, train
from apps.transduce.__main__ import COMMANDS
from apps.transduce.sizes import count_weights
from tests.seeds import set_seed

LETTERS = "abcde"
NUMBERS = [np.base_repr(n, 5) for n in range(5, 1500, 5)]
WORDS = sorted("".join(LETTERS[int(digit)] for digit in number) for number in NUMBERS)
SMALL = (
    "--units 32 --embedding-dim 16 --epochs 8 --batch-size 16 --learning-rate 0.02 "
    "--dropout 0 --seed 1"
).split()

pytestmark = pytest.mark.usefixtures("loaded_once")


def run(*arguments):
    return cli.main("apps.transduce", "", COMMANDS, [str(a) for a in arguments])


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """Words and the same words with their letters in upper case, backwards."""
    path = tmp_path_factory.mktemp("data") / "pairs.tsv"
    path.write_text("".join(f"{w}\t{' '.join(w[::-1].upper())}\n" for w in WORDS))
    return path


@pytest.fixture(scope="module")
def trained(pairs, tmp_path_factory):
    """Folders of a training: the run, and the exported models."""
    folder = tmp_path_factory.mktemp("trained")
    places = ["--data", pairs, "--run-dir", folder / "run", "--output", folder / "models"]
    assert run("train", *places, *SMALL) == 0
    return folder


@pytest.fixture(scope="module")
def untrained(tmp_path_factory):
    """An exported model that has learned nothing."""
    folder = tmp_path_factory.mktemp("untrained")
    set_seed(0)
    sources = kerasrnn.TokenVocabulary(list(LETTERS), "character")
    targets = kerasrnn.TokenVocabulary(list(LETTERS.upper()), "whitespace")
    model = kerasrnn.Seq2Seq(
        sources, targets, units=4, embedding_dim=3, max_source_length=6, max_target_length=5
    )
    model({"inputs": np.array([[2, 4]]), "source": np.array([[4, 5]])})
    described = {
        "source_split": "character",
        "target_split": "whitespace",
        "max_source_length": 6,
        "data_source": "pairs.tsv",
    }
    kerasrnn.export(model, folder, config=described)
    return folder


@pytest.mark.slow
def test_training_learns_and_leaves_its_figures(trained):
    metrics = json.loads((trained / "run" / "metrics.json").read_text())
    assert metrics["test_sequence_error_rate"] <= 0.15
    assert metrics["test_token_error_rate"] <= 0.06
    assert metrics["source_split"] == "character"
    assert metrics["target_split"] == "whitespace"
    assert sum(metrics["split_sizes"].values()) == len(WORDS)
    rows = list(csv.DictReader((trained / "run" / "history.csv").read_text().splitlines()))
    assert len(rows) == metrics["epochs"]
    assert {"val_sequence_error_rate", "val_token_error_rate", "val_loss"} <= set(rows[0])
    best = min(float(row["val_sequence_error_rate"]) for row in rows)
    assert float(rows[metrics["best_epoch"] - 1]["val_sequence_error_rate"]) == best
    assert (trained / "run" / "samples.txt").read_text().count("sequence errors") == len(rows)
    card = (trained / "models" / "1" / "assets.extra" / "model_card.md").read_text()
    assert f"{metrics['test_sequence_error_rate']:.4f}" in card


@pytest.mark.slow
def test_the_figures_are_those_of_the_exported_model(trained, pairs, capsys):
    held_out = data.split(data.read_pairs(pairs), config.Train())["test"]
    path = trained / "held out.tsv"
    path.write_text("".join(f"{source}\t{target}\n" for source, target in held_out))
    assert run("evaluate", "--data", path, "--model", trained / "models", "--json") == 0
    scores = json.loads(capsys.readouterr().out)
    metrics = json.loads((trained / "run" / "metrics.json").read_text())
    assert scores["sequence_error_rate"] == metrics["test_sequence_error_rate"]
    assert scores["token_error_rate"] == pytest.approx(metrics["test_token_error_rate"])
    best = keras.saving.load_model(trained / "run" / "checkpoints" / "best.keras")
    rates = train.score(best, held_out, config.BEAM)
    assert rates.sequence_error_rate == scores["sequence_error_rate"]


@pytest.mark.slow
def test_a_finished_run_is_shown_again_and_exports_nothing_new(trained, pairs, capsys):
    before = (trained / "run" / "metrics.json").read_bytes()
    places = ["--data", pairs, "--run-dir", trained / "run", "--output", trained / "models"]
    assert run("train", *places, *SMALL) == 0
    assert "is finished" in capsys.readouterr().out
    assert (trained / "run" / "metrics.json").read_bytes() == before
    assert [path.name for path in (trained / "models").iterdir()] == ["1"]


@pytest.mark.slow
@pytest.mark.skipif("not os.environ.get('THOROUGH')", reason="takes long, set THOROUGH")
def test_a_stopped_run_ends_with_the_same_weights(trained, pairs, tmp_path, monkeypatch):
    class StoppedError(Exception):
        pass

    write = train.EpochReport.write

    def stop(report):
        if len(report.samples) == 3:
            raise StoppedError
        write(report)

    places = ["--data", pairs, "--run-dir", tmp_path / "run", "--output", tmp_path / "models"]
    monkeypatch.setattr(train.EpochReport, "write", stop)
    with pytest.raises(StoppedError):
        run("train", *places, *SMALL)
    monkeypatch.undo()
    assert run("train", *places, *SMALL) == 0
    again, once = (
        keras.saving.load_model(folder / "run" / "checkpoints" / "best.keras").get_weights()
        for folder in (tmp_path, trained)
    )
    for a, b in zip(again, once, strict=True):
        np.testing.assert_array_equal(a, b)
    rows = [
        (folder / "run" / "history.csv").read_text().splitlines()
        for folder in (tmp_path, trained)
    ]
    assert rows[0] == rows[1]


def test_a_text_is_written_for_each_text(untrained, capsys):
    assert run("predict", "--model", untrained, "abc", "de") == 0
    shown = capsys.readouterr()
    assert [line.split("\t")[0] for line in shown.out.splitlines()] == ["abc", "de"]
    assert shown.err == f"model: {untrained / '1'}\n"
    signature = tf.saved_model.load(str(untrained / "1")).signatures["nbest"]
    outputs = signature(
        text=tf.constant(["abc", "de"]), beam=tf.constant(4), length_penalty=tf.constant(0.6)
    )
    best = [text.decode() for text in outputs["text"].numpy()[:, 0]]
    assert [line.split("\t")[1] for line in shown.out.splitlines()] == best


def test_the_best_texts_come_with_their_scores(untrained, capsys):
    assert run("predict", "--model", untrained, "abc", "--num", "3", "--json") == 0
    line = json.loads(capsys.readouterr().out)
    assert line["text"] == "abc"
    assert line["targets"][0] == line["target"]
    assert line["scores"] == sorted(line["scores"], reverse=True)
    assert len(set(line["targets"])) == 3
    assert run("predict", "--model", untrained, "abc", "--num", "3") == 0
    assert len(capsys.readouterr().out.splitlines()) == 3


def test_texts_come_from_a_file_and_from_standard_input(
    untrained, tmp_path, monkeypatch, capsys
):
    path = tmp_path / "texts.tsv"
    path.write_text("abc\tA B C\nde\n")
    assert run("predict", "--model", untrained, "--file", path) == 0
    from_file = capsys.readouterr().out
    assert [line.split("\t")[0] for line in from_file.splitlines()] == ["abc", "de"]
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"abc\nde\n")))
    assert run("predict", "--model", untrained) == 0
    assert capsys.readouterr().out == from_file
    path.write_text("")
    assert run("predict", "--model", untrained, "--file", path) == 2
    assert "the file has no texts" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        ("abxyz", "text 1 has characters that the model does not know: 'x', 'y', 'z'."),
        ("abcdeabc", "text 1 has 8 characters. The model reads the first 6."),
        ("", "text 1 is empty."),
    ],
)
def test_what_a_model_cannot_read_is_said(untrained, text, warning, capsys):
    assert run("predict", "--model", untrained, text) == 0
    shown = capsys.readouterr()
    assert f"warning: {warning}\n" in shown.err
    assert shown.out.startswith(f"{text}\t")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a", "--beam", "0"], "--beam must be from 1"),
        (["a", "--beam", "7"], "--beam must be from 1 to 6, the tokens that the model can"),
        (["a", "--num", "5"], "--num must not be above --beam, 4, got 5"),
        (["a", "b", "--attention", "a.png"], "--attention draws one text, got 2"),
        (["--attention", "a.png"], "--attention draws one text, got 0"),
        (["a", "--attention", "a.jpg"], "--attention must end with .png"),
        (["a", "--attention", "none/a.png"], "none: there is no such folder"),
        (["a", "--file", "x"], "both as arguments and with --file"),
        (["--file", "missing.txt"], "missing.txt: No such file"),
    ],
)
def test_a_mistake_is_one_line_and_exit_status_2(untrained, arguments, message, capsys):
    assert run("predict", "--model", untrained, *arguments) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("error: ")
    assert message in last


def test_attention_is_drawn_as_a_picture(untrained, tmp_path, capsys):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    path = tmp_path / "attention.png"
    assert run("predict", "--model", untrained, "abc", "--attention", path) == 0
    assert path.read_bytes().startswith(b"\x89PNG")
    assert f"wrote {path}" in capsys.readouterr().err


def test_a_model_is_scored_on_pairs_of_ones_own(untrained, tmp_path, capsys):
    path = tmp_path / "pairs.tsv"
    path.write_text("abc\tA B C\nde\tD E\n")
    assert run("evaluate", "--model", untrained, "--data", path) == 0
    shown = capsys.readouterr()
    assert "sequence errors" in shown.out
    assert "was trained on most of the pairs of a file with this name" in shown.err


def test_a_preset_is_known_and_its_weights_are_counted(pairs):
    units, counted = ("character", "whitespace"), {}
    splits = data.split(data.read_pairs(pairs), config.Train())
    sources, targets = (
        kerasrnn.TokenVocabulary.from_texts(side, kind)
        for side, kind in zip(zip(*splits["train"], strict=True), units, strict=True)
    )
    for changes in (
        {},
        {"attention": "additive", "cell": "gru", "num_layers": 2},
        {"attention": "none", "bidirectional": False, "cell": "vanilla"},
    ):
        options = config.Train(units=6, embedding_dim=5, **changes)
        model = train.make_model((sources, targets), options)
        model({"inputs": np.array([[2, 4]]), "source": np.array([[4, 5]])})
        counted[model.count_params()] = count_weights(options, len(sources), len(targets))
    assert list(counted) == list(counted.values())

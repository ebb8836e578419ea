"""Small exported models, and programs that ask them without importing this package."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

import kerasrnn

collect_ignore_glob = ["serve_*.py", "ask_*.py"]  # programs, not tests

CLIENTS = Path(__file__).parent
WORDS = "good bad film story été 素晴らしい it's naïve 2 of the a".split()
CHARACTERS = "\n ,.:'abcdefghijklmnopqrstuvwxyzéüß日本語😀"
LENGTH, TEMPERATURE, SEED = 40, 0.8, 3
KINDS = {
    "ascii": "A GOOD film, it's 2 of a kind!<br /><br />Not bad.",
    "accents": "Été naïve, ein süßes Märchen: \u00e9t\u00e9, E\u0301T\u00c9",
    "emoji": "😀 good 👍🏽 film 👩‍👩‍👧",
    "cjk": "素晴らしい 映画、日本語 the story",
    "empty": "",
}
LONG = "the good film, of a bad story é " * 5000
BATCHES = {1: [" ".join(KINDS.values())], 100: [*KINDS.values(), LONG, *KINDS.values()] * 9}
BATCHES[100].append("a")


def shortened(texts):
    return [text[:500] for text in texts]


@pytest.fixture(scope="session")
def classifier():
    tf.keras.utils.set_random_seed(0)
    model = kerasrnn.TextClassifier(
        ["[PAD]", "[UNK]", *WORDS], max_length=30, embedding_dim=8, units=6
    )
    model(np.array([[2, 0]]))
    for variable in model.trainable_variables:  # far enough from 1/2 to tell answers apart
        variable.assign(variable * 3)
    model.output_layer.bias.assign([-1.0])
    table = 0.1 * np.random.default_rng(0).normal(size=(len(WORDS) + 102, 1))
    return model.with_linear(table, np.zeros(1))


@pytest.fixture(scope="session")
def language_model():
    tf.keras.utils.set_random_seed(0)
    vocabulary = kerasrnn.CharacterVocabulary(CHARACTERS)
    model = kerasrnn.CharLanguageModel(vocabulary, units=12)
    model(np.array([[2, 0]]))
    return model


@pytest.fixture(scope="session")
def sentiment(classifier, tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "sentiment"
    return kerasrnn.export(classifier, folder, config={"max_length": 30})


@pytest.fixture(scope="session")
def chargen(language_model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "chargen"
    return kerasrnn.export(language_model, folder, config={"units": 12, "num_layers": 1})


@pytest.fixture(scope="session")
def transducer():
    tf.keras.utils.set_random_seed(0)
    letters = list(" .,'abcdefghijklmnopqrstuvwxyzé日本語😀")
    letters = kerasrnn.TokenVocabulary(letters, "character")
    words = kerasrnn.TokenVocabulary([f"W{number}" for number in range(40)], "whitespace")
    model = kerasrnn.Seq2Seq(
        letters, words, units=8, embedding_dim=6, max_source_length=30, max_target_length=12
    )
    model({"inputs": np.array([[2, 4]]), "source": np.array([[4, 5]])})
    for variable in model.trainable_variables:  # so that texts differ
        variable.assign(variable * 3)
    return model


@pytest.fixture(scope="session")
def transduce(transducer, tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "transduce"
    config = {
        "source_split": "character",
        "target_split": "whitespace",
        "max_source_length": 30,
    }
    return kerasrnn.export(transducer, folder, config=config)


@pytest.fixture(scope="session")
def ask(tmp_path_factory):
    """Runs a command that cannot import this package, and gives what it prints."""
    folder = tmp_path_factory.mktemp("without")
    for name in ("kerasrnn", "apps"):
        (folder / f"{name}.py").write_text(f"raise ImportError('{name} must not be needed')\n")

    def run(*command, lines=(), **environment):
        command = [str(part) for part in command]
        if command[0].endswith(".py"):
            command = [sys.executable, str(CLIENTS / command[0]), *command[1:]]
        done = subprocess.run(
            command,
            input="".join(f"{line}\n" for line in lines),
            capture_output=True,
            encoding="utf-8",
            cwd=folder,
            env={
                **os.environ,
                "PYTHONPATH": str(folder),
                "PYTHONIOENCODING": "utf-8",
                **environment,
            },
            check=False,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout

    return run


@pytest.fixture(scope="session")
def ask_several(ask):
    """Runs a client written in Python for several questions, in one process.

    Takes for each question a key and the arguments and lines; gives what is printed, by key.
    """

    def run(client, questions, **environment):
        asked = [
            [[str(a) for a in arguments], lines] for arguments, lines in questions.values()
        ]
        lines = [json.dumps(asked)]
        printed = ask("ask_several.py", CLIENTS / client, lines=lines, **environment)
        return dict(zip(questions, json.loads(printed), strict=True))

    return run


@pytest.fixture(scope="session", params=BATCHES, ids=lambda size: f"batch{size}")
def size(request):
    """Of a batch."""
    return request.param


@pytest.fixture(scope="session")
def texts(size):
    return BATCHES[size]


@pytest.fixture(scope="session")
def probabilities(classifier, texts):
    """What Python's model answers."""
    ids = classifier.vocabulary.encode(tf.constant(texts), classifier.max_length).to_tensor()
    return classifier(ids).numpy()[:, 0]


@pytest.fixture(scope="session")
def prompts(texts):
    """The same, the long one shorter: it is read character by character."""
    return shortened(texts)


@pytest.fixture(scope="session")
def continuations(language_model, prompts):
    """What Python's model writes."""
    return language_model.generate(prompts, LENGTH, TEMPERATURE, seed=SEED)


@pytest.fixture(scope="session")
def likeliest(language_model, prompts):
    """What Python's model writes, without chance."""
    return language_model.generate(prompts, LENGTH, temperature=0)


@pytest.fixture(scope="session")
def transduced(transducer, prompts):
    """The text of each prompt that Python's model writes."""
    return "".join(f"{text}\n" for text in transducer.generate(prompts))

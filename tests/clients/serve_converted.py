"""Asks a model in another format about each line of standard input.

serve_converted.py sentiment FILE MODEL           the probability of each line
serve_converted.py transduce FILE MODEL           the text of each line
serve_converted.py chargen FILE MODEL LENGTH      each line and what most probably follows

FILE ends with .onnx or .tflite, and holds a signature that takes ids; MODEL is the exported
folder that it was made of, for the vocabulary. An .onnx file is run by ONNX Runtime, or by
OpenVINO if the environment variable RUNTIME is openvino.
"""

import json
import os
import re
import sys
import unicodedata
from pathlib import Path

import numpy as np


def load(file):
    """A function from named inputs to named outputs."""
    if file.endswith(".tflite"):
        from ai_edge_litert.interpreter import Interpreter

        interpreter = Interpreter(file)
        (name,) = interpreter.get_signature_list()
        runner = interpreter.get_signature_runner(name)
        return lambda **inputs: runner(**inputs)
    if os.environ.get("RUNTIME") == "openvino":
        import openvino as ov

        exact = {"INFERENCE_PRECISION_HINT": "f32"}
        model = ov.Core().compile_model(file, "CPU", exact)
        return lambda **inputs: {k.get_any_name(): v for k, v in model(inputs).items()}
    import onnxruntime

    session = onnxruntime.InferenceSession(file)
    names = [output.name for output in session.get_outputs()]
    return lambda **inputs: dict(zip(names, session.run(names, inputs), strict=True))


def words(text):
    """Lower-case words, as kerasrnn.text.split_words has them."""
    text = re.sub(r"<br\s*/?>", " ", text.lower())
    kept = (c if c == "'" or unicodedata.category(c)[0] in "LMN" else " " for c in text)
    return "".join(kept).split()


def classify(ask, folder, lines):
    """The probability of the label `positive` for each line."""
    known = (folder / "assets" / "vocabulary.txt").read_text("utf-8").split("\n")[:-1]
    ids_of = {word: number for number, word in enumerate(known)}
    config = json.loads((folder / "assets.extra" / "config.json").read_text("utf-8"))
    rows = [[ids_of.get(w, 1) for w in words(line)][-config["max_length"] :] for line in lines]
    return ask(ids=pad(rows))["probability"]


def pad(rows):
    """Ids in rows of one length, 0 where a row has ended."""
    ids = np.zeros([len(rows), max(1, *map(len, rows))], np.int32)
    for padded, row in zip(ids, rows, strict=True):
        padded[: len(row)] = row
    return ids


def transduce(ask, folder, lines):
    """The text of each line."""
    sources, targets = (
        (folder / "assets" / f"{name}.txt").read_text("utf-8").split("\n")[:-1]
        for name in ("source_vocabulary", "vocabulary")
    )
    config = json.loads((folder / "assets.extra" / "config.json").read_text("utf-8"))
    ids_of = {token: number for number, token in enumerate(sources) if number > 3}
    by_word = config["source_split"] == "whitespace"
    rows = [line.split() if by_word else list(line) for line in lines]
    rows = [[ids_of.get(token, 1) for token in row] for row in rows]
    answers = ask(ids=pad([row[: config["max_source_length"]] for row in rows]))
    written = answers.get("new_ids", answers.get("ids"))
    between = " " if config["target_split"] == "whitespace" else ""
    return [between.join(targets[i] for i in row if i > 3) for row in written]


def write(ask, folder, lines, length):
    """What most probably follows each line, character by character."""
    table = (folder / "assets" / "vocabulary.txt").read_text("utf-8").split("\n")[:-1]
    known = [chr(int(row.split("\t")[0])) for row in table]
    ids_of = {character: number for number, character in enumerate(known)}
    rows = [[ids_of.get(c, 0) for c in line or "\n"] for line in lines]
    config = json.loads((folder / "assets.extra" / "config.json").read_text("utf-8"))
    zeros = np.zeros([len(rows), config["units"]], np.float32)
    states = {f"state_{number}": zeros for number in range(config["num_layers"])}
    written = [""] * len(rows)
    for t in range(max(map(len, rows)) + length - 1):
        answers = ask(ids=np.array([row[t] for row in rows], np.int32), **states)
        states = {name: answers.get(f"new_{name}", answers.get(name)) for name in states}
        best = answers["logits"][:, 1:].argmax(1) + 1  # 0 stands for the unknown
        for number, row in enumerate(rows):
            if t + 1 == len(row):
                row.append(best[number])
                written[number] += known[best[number]]
    return [text[:length] for text in written]


app, file, folder, *numbers = sys.argv[1:]
lines = [line.rstrip("\n") for line in sys.stdin]
if app == "sentiment":
    for probability in classify(load(file), Path(folder), lines):
        print(f"{probability:.6f}")
elif app == "transduce":
    print("\n".join(transduce(load(file), Path(folder), lines)))
else:
    for line, text in zip(
        lines, write(load(file), Path(folder), lines, int(numbers[0])), strict=True
    ):
        print(line + text)

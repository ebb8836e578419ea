"""Asks an exported model about each line of standard input, with TensorFlow alone.

serve_tensorflow.py sentiment MODEL                          label and probability
serve_tensorflow.py transduce MODEL                          the text of each line
serve_tensorflow.py chargen MODEL LENGTH TEMPERATURE SEED    each line and what follows it
"""

import sys

import tensorflow as tf

app, folder, *numbers = sys.argv[1:]
model = tf.saved_model.load(folder)
ask = model.signatures["serving_default"]
lines = [line.rstrip("\n") for line in sys.stdin]
if app == "sentiment":
    answers = ask(text=tf.constant(lines, tf.string))
    for label, probability in zip(answers["label"], answers["probability"], strict=True):
        print(f"{label.numpy().decode()}\t{probability:.6f}")
elif app == "transduce":
    for text in ask(text=tf.constant(lines, tf.string))["text"].numpy():
        print(text.decode("utf-8"))
else:
    length, temperature, seed = (float(number) for number in numbers)
    answers = ask(
        text=tf.constant(lines, tf.string),
        length=tf.constant(int(length)),
        temperature=tf.constant(temperature),
        seed=tf.constant(int(seed)),
    )
    for line, text in zip(lines, answers["text"].numpy(), strict=True):
        print(line + text.decode("utf-8"))

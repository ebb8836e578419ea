"""Checks of arguments: what passes, and what a message says of what does not."""

import re
from pathlib import Path

import keras
import numpy as np
import pytest

from kerasrnn import checks

INTEGERS = [3, np.int64(3), np.uint8(3)]
REALS = [0.5, np.float32(0.5), np.float64(0.5)]
FLAGS = [True, False, np.True_]
OTHERS = [None, "3", b"3", [3], {}, 3j, np.ones(1), object()]


def test_numbers_are_those_of_python_and_numpy_and_flags_are_none():
    assert all(map(checks.is_number, [*INTEGERS, *REALS, float("nan")]))
    assert all(map(checks.is_integer, INTEGERS))
    assert not any(map(checks.is_number, [*FLAGS, *OTHERS]))
    assert not any(map(checks.is_integer, [*REALS, *FLAGS, *OTHERS]))


def test_numbers_of_numpy_become_plain_and_all_else_stays():
    for number, kind in [(np.int32(3), int), (np.float32(0.5), float), (np.True_, bool)]:
        assert checks.plain(number) == number
        assert type(checks.plain(number)) is kind
    for other in (3, "a", None, np.ones(2)):
        assert checks.plain(other) is other


def test_a_value_is_shown_on_one_line_and_not_at_length():
    assert checks.shown("a") == "'a'"
    assert checks.shown(np.zeros((3, 2))) == "array([[0., 0.], [0., 0.], [0., 0.]])"
    assert checks.shown("x" * 198) == repr("x" * 198)
    long = checks.shown("x" * 1000)
    assert len(long) == 203
    assert long.endswith("x...")


# For each check what passes, what does not, and what is said of the latter.
CHECKS = {
    "rate": ([0, 0.5, 0.999, np.float32(0)], [1, -0.1, float("nan"), True], "lie in [0, 1)"),
    "probability": ([0, 1, np.int64(1)], [1.1, -1, float("nan"), "a"], "lie in [0, 1]"),
    "positive_integer": (INTEGERS, [0, -1, 2.0, True, None, "3"], "be a positive integer"),
    "text": (["", "é"], [b"a", None, 3, ["a"]], "be a str"),
    "path": (["a", Path("a")], ["", None, 3, "a\0b", b"a"], "be a path, a str or a Path"),
    "flags": (FLAGS, [0, 1, None, "yes"], "be True or False"),
    "seed": ([None, 3, np.int64(3), keras.random.SeedGenerator(1)], [0.5, True, "a"], "be an"),
    "epochs": ([0, 3, np.int64(3)], [-1, 0.5, None, True], "be an integer of 0 or more"),
}


@pytest.mark.parametrize("name", CHECKS)
def test_a_message_names_the_argument_and_what_was_given(name):
    check, (right, wrong, message) = getattr(checks, f"check_{name}"), CHECKS[name]
    argument = name if name in ("seed", "epochs") else "size"

    def run(value):
        if name == "flags":
            check(other=True, size=value)
        elif argument == "size":
            check("size", value)
        else:
            check(value)

    for value in right:
        run(value)
    for value in wrong:
        got = re.escape(f"got {argument}={value!r}")
        with pytest.raises(ValueError, match=f"^{argument} must {re.escape(message)}.*{got}"):
            run(value)


def test_a_positive_integer_may_have_another_way_out():
    with pytest.raises(ValueError, match=r"got window=0\. Use window=None\.$"):
        checks.check_positive_integer("window", 0, " Use window=None.")


def test_one_of_several_names():
    checks.check_one_of("draw", "greedy", ("greedy", "sample"))
    for value in ("best", None, ["greedy"], 3):
        with pytest.raises(ValueError, match="^draw must be one of greedy, sample, got draw="):
            checks.check_one_of("draw", value, ("greedy", "sample"))


def test_texts_are_one_or_several():
    assert checks.as_texts("prompts", "ab") == ["ab"]
    assert checks.as_texts("prompts", ("a", "b")) == ["a", "b"]
    assert checks.as_texts("prompts", np.array(["a", "b"])) == ["a", "b"]
    assert checks.as_texts("prompts", []) == []
    for value in (None, 3, b"ab", ["a", None], {"a": "b"}):
        with pytest.raises(ValueError, match="^prompts must be a str or a list of str, got"):
            checks.as_texts("prompts", value)


def test_an_object_is_made_of_its_configuration_or_refused():
    config = keras.saving.serialize_keras_object(keras.optimizers.SGD(0.5))
    made = checks.from_config_of("optimizer", config)
    assert isinstance(made, keras.optimizers.SGD)
    for wrong in ({}, {"class_name": "Nothing"}, {"class_name": "SGD", "config": {"x": 1}}):
        with pytest.raises(ValueError, match="^optimizer is not a configuration of Keras: opt"):
            checks.from_config_of("optimizer", wrong, keras.optimizers.get)

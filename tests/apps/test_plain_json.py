"""JSON that every program reads."""

import io
import json
import math
import sys

import pytest

from apps.plain_json import to_json, to_line


def refuse(constant):
    raise AssertionError(constant)


CONTENT = {"loss": math.nan, "more": [math.inf, -math.inf, 1.5, {"deep": (math.nan,)}]}
EXPECTED = {"loss": None, "more": [None, None, 1.5, {"deep": [None]}]}


@pytest.mark.parametrize("write", [to_json, to_line])
def test_numbers_that_are_not_finite_become_null(write):
    assert json.loads(write(CONTENT), parse_constant=refuse) == EXPECTED


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "ascii"])
def test_a_line_keeps_its_characters_in_any_encoding(monkeypatch, encoding):
    shown = io.BytesIO()
    stdout = io.TextIOWrapper(shown, encoding, errors="replace", newline="\n")
    monkeypatch.setattr(sys, "stdout", stdout)
    content = {"text": "été 😀\u2028", "loss": math.nan}
    print(to_line(content), flush=True)
    assert shown.getvalue().count(b"\n") == 1
    read = json.loads(shown.getvalue().decode(encoding), parse_constant=refuse)
    assert read == {"text": "été 😀\u2028", "loss": None}

"""Any command line ends with status 0, or with 2 and one line; nothing half-done remains.

The command lines are drawn from the options themselves. The type of an option says what
can be tried, and its own error message says from where to where a number goes. So an
option that is new is tried, too. HYPOTHESIS_EXAMPLES=1000 tries other ones, and more.
"""

import contextlib
import dataclasses
import io
import json
import math
import os
import re
import sys
import tempfile
import time
import typing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, event, given, settings
from hypothesis import strategies as st

from apps import cli
from apps.chargen.__main__ import COMMANDS as CHARGEN
from apps.sentiment.__main__ import COMMANDS as SENTIMENT
from apps.transduce.__main__ import COMMANDS as TRANSDUCE
from tests.apps.exported_models import export_small_models

EXAMPLES = os.environ.get("HYPOTHESIS_EXAMPLES")
LONGEST = 20.0  # seconds of the processor that a command may take

APPS = {"sentiment": SENTIMENT, "chargen": CHARGEN, "transduce": TRANSDUCE}
SANE_DATA = {"sentiment": "sane.csv", "chargen": "sane.txt", "transduce": "sane.tsv"}
COMMANDS = [(app, name) for app, commands in APPS.items() for name in commands]

NO_NUMBERS = ["", " ", "x", "1.5.2", "0x10", "½", "--", "-", "true", "\x1b[31m", "é " * 5000]
NO_PATHS = ["", "~nosuchuser/x", "x" * 300, "y/" * 3000, "caf\udce9", "a\0b"]
ODD_PATHS = [
    "missing",
    "a/b/c",
    ".",
    "/dev/null",
    "/dev/full",
    "/dev/null/x",
    "/proc/x",
    "f.csv",
]
ODD_TEXTS = ["", "é 😀", "\0", "\n\n", "-1", "a " * 5000, "caf\udce9", "\ud800", "ab", "{}"]

REVIEWS = "text,label\n" + "".join(
    f"{'bad good'.split()[i % 2]} f{i},{i % 2}\n" for i in range(60)
)
FILES = {
    "sane.csv": REVIEWS.encode(),
    "sane.tsv": "".join(f"word {i}\t{i} w\n" for i in range(60)).encode(),
    "no tab.tsv": b"word\tw\nword\n",
    "no side.tsv": b"word\t\n",
    "sane.txt": b"the good film, the bad film.\n" * 6,
    "one label.csv": REVIEWS.replace(",0\n", ",1\n").encode(),
    "same.csv": ("text,label\n" + "good,1\n" * 200).encode(),
    "both.csv": ("text,label\n" + "good,1\ngood,0\n" * 100).encode(),
    "huge.csv": (REVIEWS + f"{'word ' * 40_000},1\n").encode(),
    "open.csv": REVIEWS.replace("bad f2,", '"bad f2,').encode(),
    "columns.csv": REVIEWS.replace("label", "stars").encode(),
    "labels.csv": REVIEWS.replace(",1\n", ",9\n").encode(),
    "header.csv": b"text,label\n",
    "empty.csv": b"",
    "empty.txt": b"",
    "bytes.csv": bytes(range(256)) * 9,
    "bytes.txt": bytes(range(256)) * 9,
    "utf16.txt": ("good film " * 90).encode("utf-16"),
    "nul.txt": b"good\0film " * 90,
    "one.txt": b"a" * 900,
    "line.txt": b"word " * 3000,
    "deep.jsonl": b"[" * 5000,
    "some.jsonl": b'{"text": "good", "label": 1}\n{"text": NaN, "label": 1e999}\n',
    "sane.jsonl": b'{"text": "good \\ud83d\\ude00", "label": 1}\n' * 5,
    "crlf.csv": REVIEWS.replace("\n", "\r\n").encode("utf-8-sig"),
}


SANE = {
    "text_column": ["text"],
    "label_column": ["label"],
    "delimiter": [None, ","],
    "labels": [None, "negative,positive"],
    "plot": [None, "scores.png"],
    "attention": [None, "attention.png"],
}
"""What options for texts are given, of which anything else finds nothing in the files."""


@dataclasses.dataclass(frozen=True)
class Value:
    """What an option is given."""

    text: str | None
    """`None` leaves the option out."""
    is_mad: bool = False
    """Whether no command may take it."""


@dataclasses.dataclass(frozen=True)
class Range:
    """From where to where a number goes."""

    least: float
    most: float
    with_least: bool
    with_most: bool


def flag(option: str) -> str:
    return "--" + option.replace("_", "-")


def options_of(app: str, name: str) -> dict[str, typing.Any]:
    """The types of a command's options; of `int | None`, `int`."""
    found = typing.get_type_hints(APPS[app][name].options)
    for option, hint in found.items():
        kinds = [kind for kind in typing.get_args(hint) if kind is not type(None)]
        if len(kinds) == 1 and isinstance(kinds[0], type):
            found[option] = kinds[0]
    return found


def call(app: str, arguments: list[str], run=None, stdin: bytes = b"") -> tuple[int, str, str]:
    """The status of a command, its output and its errors; `run` stands for what it does."""
    commands = APPS[app]
    if run is not None:
        commands = {n: dataclasses.replace(c, run=run) for n, c in commands.items()}
    out, err = (
        io.TextIOWrapper(io.BytesIO(), "utf-8", errors="surrogateescape", newline="\n")
        for _ in range(2)
    )
    before = sys.stdin
    sys.stdin = io.TextIOWrapper(io.BytesIO(stdin), "utf-8")
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = cli.main(f"apps.{app}", "", commands, arguments)
    finally:
        sys.stdin = before
    texts = (stream.buffer.getvalue().decode("utf-8", "replace") for stream in (out, err))
    return status, *texts


def find_range(app: str, name: str, option: str, kind: type) -> Range:
    """What a command says of an option that is given far too much."""
    value = 10**30 if kind is int else "nan"
    _, _, message = call(app, [name, f"{flag(option)}={value}"], run=lambda _: None)
    if found := re.search(r" must be from (\S+) to (\S+), got", message):
        left, least, most, right = "[", *found.groups(), "]"
    else:
        found = re.search(r" must lie in ([\[(])(\S+), (\S+)([\])]), got", message)
        assert found, f"{app} {name} {flag(option)} does not say its range: {message!r}"
        left, least, most, right = found.groups()

    def read(text):
        base, _, power = text.replace(",", "").partition("**")
        return kind(float(base)) ** int(power or 1)

    return Range(read(least), read(most), left == "[", right == "]")


RANGES = {
    (app, name, option): find_range(app, name, option, kind)
    for app, name in COMMANDS
    for option, kind in options_of(app, name).items()
    if kind in (int, float)
}


def edges(kind: type, known: Range) -> tuple[list[float], list[float]]:
    """The last numbers that are taken, and the first that are refused."""

    def beside(number, direction):
        return (
            number + direction if kind is int else math.nextafter(number, direction * math.inf)
        )

    taken = [
        known.least if known.with_least else beside(known.least, 1),
        known.most if known.with_most else beside(known.most, -1),
    ]
    return taken, [beside(taken[0], -1), beside(taken[1], 1)]


def sane_values(app: str, name: str, option: str, kind, folder: Path) -> st.SearchStrategy:
    """What makes a command do its work within a second."""
    known = RANGES.get((app, name, option))
    if kind is int:
        numbers = st.integers(int(known.least), int(max(known.least, 1)) + 1)
        return numbers.map(lambda number: Value(str(number)))
    if kind is float:
        return st.sampled_from(["0.1", "0.5", "0.9"]).map(Value)
    if kind is bool:
        return st.sampled_from(["", "no-"]).map(Value)
    if typing.get_origin(kind) is typing.Literal:
        return st.sampled_from(typing.get_args(kind)).map(Value)
    if option in SANE:
        return st.sampled_from(SANE[option]).map(Value)
    if option == "data":
        return st.just(Value(str(folder / SANE_DATA[app])))
    if option == "file":
        return st.sampled_from([None, "sane.csv", "sane.txt", "sane.jsonl"]).map(Value)
    if option == "model":
        return st.just(Value(str(MODELS.get(app, "a model"))))
    if kind is Path:
        return st.sampled_from([None, f"{option}.new"]).map(Value)
    return st.sampled_from(["good", "bad film"]).map(Value)


def odd_values(app: str, name: str, option: str, kind, folder: Path) -> st.SearchStrategy:
    """What may be refused, and what must be."""
    if kind in (int, float):
        known = RANGES[app, name, option]
        refused = [
            *map(repr, edges(kind, known)[1]),
            "1e300",
            "-1",
            str(-(10**30)),
            str(10**30),
        ]
        refused += [*NO_NUMBERS, "nan", "inf", "-inf", "9" * 5000]
        tiny = st.sampled_from(["1e-320", "-0.0", "0", "1"]).map(Value)
        return st.sampled_from(refused).map(lambda text: Value(text, True)) | tiny
    if kind is bool:
        return st.just(Value(None))
    if typing.get_origin(kind) is typing.Literal:
        return st.sampled_from([*NO_NUMBERS, "élan"]).map(lambda text: Value(text, True))
    if kind is Path or option == "data":
        mad = st.sampled_from(NO_PATHS).map(lambda text: Value(text, True))
        return mad | st.sampled_from([*ODD_PATHS, *FILES]).map(Value)
    return st.sampled_from(ODD_TEXTS).map(Value)


def make_arguments(option: str, kind, value: Value) -> list[str]:
    if value.text is None:
        return []
    if kind is bool:
        return [f"--{value.text}{option.replace('_', '-')}"]
    if typing.get_origin(kind) is tuple:
        return [value.text]
    return [f"{flag(option)}={value.text}"]


@st.composite
def command_lines(draw, folder: Path = Path(), most_odd: int = 2):
    """An app, its arguments, and whether one of them is mad."""
    app, name = draw(st.sampled_from(COMMANDS))
    kinds = options_of(app, name)
    odd = draw(st.sets(st.sampled_from(sorted(kinds)), max_size=most_odd))
    arguments, is_mad = [name], False
    for option, kind in kinds.items():
        values = odd_values if option in odd else sane_values
        value = draw(values(app, name, option, kind, folder))
        if typing.get_origin(kind) is tuple and (draw(st.booleans()) or not value.text):
            continue
        arguments += make_arguments(option, kind, value)
        is_mad |= value.is_mad
    return app, arguments, is_mad


def check_said(status: int, err: str, is_mad: bool) -> None:
    assert status == 2 if is_mad else status in (0, 2)
    said = ("warning: ", "model: ")  # before the error
    lines = [line for line in err.split("\n") if line and not line.startswith(said)]
    if status == 2:
        assert [line.partition(" ")[0] for line in lines] == ["error:"], err
        assert err.endswith("\n")
        assert len(err) < 1100


tried = settings(
    max_examples=int(EXAMPLES or 25),
    derandomize=EXAMPLES is None,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)


@settings(tried, max_examples=10 * tried.max_examples)
@given(line=command_lines(most_odd=6))
def test_options_are_taken_or_refused_in_one_line(line):
    app, arguments, is_mad = line
    received = []
    status, out, err = call(app, arguments, run=received.append)
    check_said(status, err, is_mad)
    assert out == ""
    assert len(received) == (status == 0)


@pytest.mark.parametrize(("app", "name", "option"), RANGES)
def test_a_number_is_taken_as_far_as_is_said_and_no_further(app, name, option):
    known = RANGES[app, name, option]
    kind = options_of(app, name)[option]
    for status, numbers in zip((0, 2), edges(kind, known), strict=True):
        for number in numbers:
            arguments = [name, f"{flag(option)}={number!r}"]
            if option == "stride":  # it must not be above the window
                arguments.append("--window=10000000")
            if option == "pretraining_epochs":  # the layer must read words in one direction
                arguments += ["--no-bidirectional", "--no-stacked"]
            if (app, option) == ("transduce", "num"):  # it must not be above the beam
                arguments.append("--beam=2147483647")
            if app == "transduce" and option == "units":  # each direction has half of them
                arguments.append("--no-bidirectional")
            found, _, err = call(app, arguments, run=lambda _: None)
            assert found == status, (number, err)


MODELS: dict[str, Path] = {}
"""An exported model of each app."""


@pytest.fixture(scope="module")
def models(tmp_path_factory, loaded_once):
    folder = tmp_path_factory.mktemp("models")
    export_small_models(folder, FILES["sane.txt"].decode())
    MODELS.update({app: folder / app for app in APPS})
    yield
    MODELS.clear()


def refuse(constant):
    raise AssertionError(f"{constant} is no JSON")


@pytest.mark.slow
@settings(tried, phases=set(Phase) - {Phase.shrink})  # which would take many minutes
@given(data=st.data(), stdin=st.sampled_from(list(FILES)))
def test_any_command_ends_well(models, data, stdin):
    with tempfile.TemporaryDirectory() as temporary, contextlib.chdir(temporary):
        folder = Path(temporary)
        for name, content in FILES.items():
            (folder / name).write_bytes(content)
        app, arguments, is_mad = data.draw(command_lines(folder))
        begin = time.process_time()
        status, out, err = call(app, arguments, stdin=FILES[stdin])
        seconds = time.process_time() - begin
        event(f"{app} {arguments[0]}: {status}")
        check_said(status, err, is_mad)
        assert seconds < LONGEST
        found = list(folder.rglob("*"))
        assert not [path for path in found if path.name.startswith(".writing-")]
        for path in found:
            assert status == 0 or path.name not in ("saved_model.pb", "metrics.json")
            if path.suffix == ".json":
                json.loads(path.read_text("utf-8"), parse_constant=refuse)
        if status == 0 and "--json" in arguments:
            for line in out.split("\n")[:-1]:
                json.loads(line, parse_constant=refuse)

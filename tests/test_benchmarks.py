"""The benchmarks: what is compared is the same thing, and the tables say it right."""

import json
import shlex

import numpy as np
import pytest
import tyro

from apps.errors import UserError
from benchmarks import layers, remedies, results, tables
from benchmarks.options import Options
from benchmarks.peers import PEERS, REFERENCE
from benchmarks.problems import SHAPES, Problem, Shape, choose_shapes, difference, draw_lengths
from benchmarks.timing import repeat, take_turns
from benchmarks.workers import PeerError, start_workers
from tests.docs.pages import ROOT, Page, commands_of

SHAPE = Shape(4, 120, 3, 8)
ROWS = [(("a",), {"us": 2.0, "them": 4.0, "floor": 1.0}), (("b",), {"us": 1.0, "them": 8.0})]


def solve(name, problem):
    prepared = PEERS[name].load()(problem)
    return prepared.read(prepared.run())


@pytest.mark.parametrize(
    ("call", "masks"), [("forward", "none"), ("training", "none"), ("training", "reviews")]
)
def test_kerasrnn_and_keras_compute_the_same(call, masks):
    problem = Problem("vanilla", SHAPE, call, masks)
    ours, theirs = solve("kerasrnn", problem), solve(REFERENCE, problem)
    assert len(ours) == (1 if call == "forward" else 4)
    assert difference(ours, theirs) < layers.TOLERANCE


@pytest.mark.slow
@pytest.mark.filterwarnings("default", "ignore:CUDA initialization")
@pytest.mark.parametrize(
    ("name", "cell"),
    [(n, c) for n, peer in PEERS.items() if n != REFERENCE for c in sorted(peer.cells)],
)
def test_all_peers_compute_the_same(name, cell):
    if not PEERS[name].is_installed:
        pytest.skip(f"{name} is not installed (extra bench)")
    problem = Problem(cell, SHAPE, "training", "reviews")
    expected = solve(REFERENCE, problem)
    assert difference(solve(name, problem), expected) < layers.TOLERANCE


@pytest.mark.slow
def test_every_remedy_is_measured():
    (table,) = remedies.run(Options(quick=True, seconds=0.0, rounds=1))
    assert len(table.rows) == len(remedies.REMEDIES)


def test_a_difference_is_relative_to_the_size_of_an_array():
    expected = [np.full(4, 100.0), np.full(9, 0.01)]
    found = [np.full(4, 100.1), np.full(9, 0.0101)]
    assert difference(found, expected) == pytest.approx(0.01)


def test_padding_is_zero_and_on_the_right():
    problem = Problem("vanilla", SHAPE, "forward", "reviews")
    inputs, mask, lengths = problem.inputs(), problem.mask(), problem.lengths()
    np.testing.assert_array_equal(mask.sum(1), lengths)
    assert 0 < mask.mean() < 1
    assert np.all(np.diff(mask.astype(int)) <= 0)
    np.testing.assert_array_equal(np.any(inputs != 0, -1), mask)


def test_lengths_are_those_of_reviews():
    lengths = draw_lengths(10_000, 10**6)
    assert np.median(lengths) == pytest.approx(174, rel=0.05)
    assert lengths.max() <= 2470
    assert draw_lengths(10_000, 50).max() == 50


def test_shapes_are_chosen_by_position_or_by_their_numbers():
    assert choose_shapes((), quick=False) == SHAPES
    assert choose_shapes(("1", "2,3,4,5"), quick=False) == (SHAPES[1], Shape(2, 3, 4, 5))
    for wrong in ("7", "1,2,3", "0,1,1,1", "x"):
        with pytest.raises(UserError, match="--shapes: expected a position from 0 to 6"):
            choose_shapes((wrong,), quick=False)


def test_an_unknown_peer_is_refused():
    with pytest.raises(UserError, match="there is no Torch"):
        layers.choose_peers(Options(peers=("Torch",)))


@pytest.mark.parametrize("here", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_workers_answer(here):
    problem = Problem("vanilla", SHAPE, "forward")
    with start_workers({"peer": PEERS["kerasrnn"]}, here) as workers:
        worker = workers["peer"]
        worker.prepare("call", problem)
        (outputs,) = worker.results("call")
        assert difference([outputs], solve("kerasrnn", problem)) < layers.TOLERANCE
        assert len(worker.repeat("call", 0.0)) == 1
        held, peak = worker.memory()
        assert 0 < held <= peak
        worker.forget()
        with pytest.raises(PeerError, match="call"):
            worker.results("call")


def test_contenders_take_turns():
    order = []

    def turn(name, times):
        def take(seconds):
            assert seconds == pytest.approx(1.0)
            order.append(name)
            return times.pop(0)

        return take

    first = turn("a", [[1.0, 2.0, 9.0], [5.0], [3.0]])
    second = turn("b", [[4.0]] * 3)
    assert take_turns({"a": first, "b": second}, 3, 6.0) == {"a": 3.0, "b": 4.0}
    assert order == ["a", "b"] * 3


def test_a_call_is_repeated_for_some_time_and_the_first_does_not_count():
    calls = []
    assert len(repeat(lambda: calls.append(1), 0.0)) == len(calls) == 1
    calls.clear()
    assert len(repeat(lambda: calls.append(1), 0.01)) == len(calls) - 1 > 0


def test_ratios_and_their_means():
    contenders = ("us", "them", "floor")
    table = tables.ratio_table("t", "Title", ["row"], ROWS, contenders, floor="floor")
    assert table.rows == [("a", 2.0, 4.0, 2.0, 1.0, 2.0), ("b", 1.0, 8.0, 8.0, None, None)]
    assert list(table.columns)[-1] == "us / floor"
    assert tables.geometric_means(ROWS, contenders, "floor") == pytest.approx([4.0, 2.0])
    assert tables.geometric_means([], contenders) == [None, None]


def test_tables_are_printed_and_written(tmp_path, capsys):
    pytest.importorskip("matplotlib", reason="pictures")
    table = tables.ratio_table("t", "Title", ["row"], ROWS, ("us", "them", "floor"))
    table.print()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Title"
    assert lines[3].split() == ["a", "2.00", "4.00", "2.00x", "1.00", "0.50x"]
    results.write(tmp_path / "new", "name", Options(), [table])
    content = json.loads((tmp_path / "new" / "name.json").read_text("utf-8"))
    assert content["tables"][0]["rows"][1]["them ratio"] == 8.0
    assert content["cores"] > 0
    assert content["processor"]
    assert content["versions"]["tensorflow"]
    assert (tmp_path / "new" / "t.png").exists()


def test_the_page_shows_options_that_exist():
    page = Page(ROOT / "benchmarks" / "README.md")
    commands = [c.line for b in page.blocks if b.language == "shell" for c in commands_of(b)]
    for line in commands:
        words = shlex.split(line, comments=True)
        assert words[:3] == ["python", "-m", "benchmarks"]
        options = tyro.cli(Options, args=words[3:])
        choose_shapes(options.shapes, options.quick)
        layers.choose_peers(options)
    assert len(commands) > 3

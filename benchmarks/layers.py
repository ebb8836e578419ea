"""The layers beside those of other libraries, for a list of shapes.

`forward` is inference, all outputs of a batch: kerasrnn and Keras answer as SavedModels.
`training` takes the gradients of the inputs and of all weights. Every peer has a process of
its own; they take turns. Before anything is timed, all must agree on the numbers.

`products` is the time of the matrix products that the call cannot avoid, with PyTorch, JAX or
TensorFlow's XLA, whichever is fastest for each part: what a layer could reach at best.
"""

import contextlib
import functools
import itertools
from collections.abc import Iterator

from apps.errors import UserError
from benchmarks import tables
from benchmarks.options import CALLS, Options
from benchmarks.peers import OURS, PARTS, PEERS, PRODUCTS, REFERENCE, Peer
from benchmarks.problems import Problem, choose_shapes, difference
from benchmarks.tables import Table, tell
from benchmarks.timing import take_turns
from benchmarks.workers import PeerError, Worker, start_workers

TOLERANCE = 1e-3
"""The largest relative difference between the numbers of two peers, in float32."""
FLOOR = "products"
MILLISECONDS = 1000


def run(options: Options) -> Iterator[Table]:
    """A table for each call, without masks and with them, and the means of the ratios."""
    peers = choose_peers(options)
    products = {name: peer for name, peer in PRODUCTS.items() if peer.is_installed}
    contenders = [OURS, *(name for name in peers if name != OURS), FLOOR]
    ratios = [tables.ratio_column(OURS, name, FLOOR) for name in contenders[1:]]
    means = Table(
        "layers_means",
        "Geometric means of the ratios to kerasrnn, over the shapes",
        dict.fromkeys(("call", "masks", "cell"), "{}")
        | {name.removesuffix(tables.RATIO): "{:.2f}x" for name in ratios},
    )
    shapes = choose_shapes(options.shapes, options.quick)
    cells = options.chosen_cells
    with start_workers(peers | products, here=options.quick) as workers:
        calls = [call for call in CALLS if call in options.calls]
        for call, masks in itertools.product(calls, options.chosen_masks):
            rows: list[tables.Row] = []
            for cell, shape in itertools.product(cells, shapes):
                milliseconds = measure(Problem(cell, shape, call, masks), workers, options)
                if milliseconds:
                    rows.append(((cell, str(shape)), milliseconds))
            yield tables.ratio_table(
                f"layers_{call}_{masks}",
                f"{call}, masks: {masks}; milliseconds, and the ratio to kerasrnn",
                ("cell", "batch,time,features,units"),
                rows,
                contenders,
                floor=FLOOR,
            )
            for cell in cells:
                of_cell = [row for row in rows if row[0][0] == cell]
                if of_cell:
                    means.add(
                        call, masks, cell, *tables.geometric_means(of_cell, contenders, FLOOR)
                    )
    yield means


def choose_peers(options: Options) -> dict[str, Peer]:
    """The peers that are asked for and installed; says which are not.

    Raises:
        UserError: if there is no such peer.
    """
    unknown = set(options.peers) - set(PEERS)
    if unknown:
        raise UserError(
            f"--peers: there is no {', '.join(sorted(unknown))}. Use some of "
            f"{', '.join(PEERS)}."
        )
    chosen = {
        name: peer
        for name, peer in PEERS.items()
        if name in (options.peers or PEERS) and set(peer.cells) & set(options.chosen_cells)
    }
    missing = [name for name, peer in chosen.items() if not peer.is_installed]
    if missing:
        tell(f"left out, as they are not installed (extra bench): {', '.join(missing)}")
    return {name: peer for name, peer in chosen.items() if name not in missing}


def measure(problem: Problem, workers: dict[str, Worker], options: Options) -> dict[str, float]:
    """Milliseconds of each peer that can solve the problem, and of the products.

    Nothing, if kerasrnn takes part in the comparison but cannot solve it.
    """
    names = [n for n in workers if n in PEERS and problem.cell in PEERS[n].cells]
    names = prepare(problem, {name: workers[name] for name in names})
    found: dict[str, float] = {}
    if OURS in names or OURS not in workers:
        turns = {(name, ""): functools.partial(workers[name].repeat, "layer") for name in names}
        for name, part in itertools.product(PRODUCTS, PARTS[problem.call]):
            if name in workers:
                workers[name].prepare(part, problem, part)
                turns[name, part] = functools.partial(workers[name].repeat, part)
        try:
            seconds = take_turns(turns, options.rounds_of_a_row, options.seconds_of_a_row)
        except PeerError as error:
            tell(f"{describe(problem)}: left out: {error}")
            return found
        found = {name: MILLISECONDS * seconds[name, ""] for name in names}
        found[FLOOR] = MILLISECONDS * sum(
            min(seconds[name, part] for name in PRODUCTS if name in workers)
            for part in PARTS[problem.call]
        )
        tell(f"{describe(problem)}: " + ", ".join(f"{n} {ms:.2f}" for n, ms in found.items()))
    for worker in workers.values():
        with contextlib.suppress(PeerError):  # it was told above
            worker.forget()
    return found


def prepare(problem: Problem, workers: dict[str, Worker]) -> list[str]:
    """Prepares a problem everywhere; the names of those whose numbers agree."""
    for worker in workers.values():  # all at a time
        worker.send("prepare", "layer", problem)
    ready = []
    for name, worker in workers.items():
        try:
            worker.receive()
            ready.append(name)
        except PeerError as error:
            tell(f"{describe(problem)}: left out {name}: {error}")
    reference = REFERENCE if REFERENCE in ready else ready[0] if ready else ""
    expected = workers[reference].results("layer") if ready else []
    agreeing = []
    for name in ready:
        distance = difference(workers[name].results("layer"), expected)
        if distance <= TOLERANCE:
            agreeing.append(name)
        else:
            tell(
                f"{describe(problem)}: left out {name}: its numbers differ from those of "
                f"{reference} by {distance:.1e}"
            )
    return agreeing


def describe(problem: Problem) -> str:
    """One line for messages."""
    return f"{problem.call} {problem.cell} {problem.shape} masks: {problem.masks}"

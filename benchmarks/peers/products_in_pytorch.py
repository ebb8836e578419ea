"""The matrix products that no layer can avoid, in PyTorch."""

import torch

from benchmarks.peers.prepared import Prepared
from benchmarks.problems import Problem
from benchmarks.results import num_cores


def prepare_part(problem: Problem, part: str) -> Prepared:
    """One part of the products; each writes into memory that is there already."""
    torch.set_num_threads(num_cores())
    batch, time, features, units = problem.shape
    width, rows = problem.num_gates * units, time * batch
    # Left factor, right factor, how often.
    products = {
        "inputs": [((rows, features), (features, width), 1)],
        "steps": [((batch, units), (units, width), time)],
        "steps back": [((batch, width), (width, units), time)],
        "gradients": [
            ((units, rows), (rows, width), 1),
            ((features, rows), (rows, width), 1),
            ((rows, width), (width, features), 1),
        ],
    }[part]
    factors = [
        (torch.randn(left), torch.randn(right), torch.empty(left[0], right[1]), times)
        for left, right, times in products
    ]

    def run():
        for left, right, result, times in factors:
            for _ in range(times):
                torch.mm(left, right, out=result)

    return Prepared(run)

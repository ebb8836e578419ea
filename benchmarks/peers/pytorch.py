"""PyTorch's layers.

With masks there are two ways: packed sequences, or to read the padding too and not to count
its outputs, which is right as padding comes last. The faster one is taken.
"""

import warnings

import numpy as np
import torch
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from benchmarks.peers.prepared import Prepared
from benchmarks.problems import Problem
from benchmarks.results import num_cores
from benchmarks.timing import time_calls

# Said on the first gradient, beside TensorFlow, on a machine without a GPU.
warnings.filterwarnings("ignore", message="CUDA initialization")

LAYERS = {"vanilla": torch.nn.RNN, "lstm": torch.nn.LSTM, "gru": torch.nn.GRU}
ORDERS = {"vanilla": (0,), "lstm": (0, 1, 2, 3), "gru": (1, 0, 2)}
"""Where PyTorch's gates are among those of Keras, and the other way round."""
TRIAL_SECONDS = 0.2


def prepare(problem: Problem) -> Prepared:
    """The layer, on all cores."""
    torch.set_num_threads(num_cores())
    if problem.masks == "none":
        return prepare_way(problem, packed=False)
    ways = [prepare_way(problem, packed) for packed in (False, True)]
    seconds = time_calls({n: way.run for n, way in enumerate(ways)}, 1, TRIAL_SECONDS)
    return ways[min(seconds, key=lambda number: seconds[number])]


def prepare_way(problem: Problem, packed: bool) -> Prepared:
    """The layer, with packed sequences or without."""
    layer = make_layer(problem)
    is_training = problem.call == "training"
    x = torch.tensor(problem.inputs(), requires_grad=is_training)
    lengths, mask = problem.lengths(), problem.mask()
    counted = None if mask is None else torch.tensor(mask, dtype=torch.float32)[..., None]

    def outputs_of():
        if not packed:
            return layer(x)[0]
        sequences = pack_padded_sequence(
            x, torch.tensor(lengths), batch_first=True, enforce_sorted=False
        )
        return pad_packed_sequence(
            layer(sequences)[0], batch_first=True, total_length=problem.shape.time
        )[0]

    def train():
        squares = outputs_of() ** 2
        if counted is not None and not packed:
            squares = squares * counted
        return torch.autograd.grad(squares.sum(), [x, *layer.parameters()])

    def infer():
        with torch.inference_mode():
            return outputs_of()

    def read_gradients(found):
        dx, dkernel, drecurrent, *dbiases = (tensor.numpy() for tensor in found)
        biases = [to_keras(problem, bias) for bias in dbiases]
        bias = np.stack(biases) if problem.cell == "gru" else biases[0]
        return [dx, to_keras(problem, dkernel).T, to_keras(problem, drecurrent).T, bias]

    def read_outputs(found):
        return [problem.without_padding(found.numpy())]

    return Prepared(train, read_gradients) if is_training else Prepared(infer, read_outputs)


def make_layer(problem: Problem) -> torch.nn.RNNBase:
    """PyTorch's layer with the weights of the problem."""
    _, _, features, units = problem.shape
    layer = LAYERS[problem.cell](features, units, batch_first=True)
    kernel, recurrent_kernel, bias = problem.weights()
    biases = bias if problem.cell == "gru" else [bias, np.zeros_like(bias)]
    values = [kernel.T, recurrent_kernel.T, *biases]
    with torch.no_grad():
        for parameter, value in zip(layer.parameters(), values, strict=True):
            parameter.copy_(torch.tensor(to_keras(problem, value)))
    return layer


def to_keras(problem: Problem, gates: np.ndarray) -> np.ndarray:
    """Gates of the first axis in the order of Keras, or from it."""
    parts = np.split(gates, problem.num_gates)
    return np.concatenate([parts[number] for number in ORDERS[problem.cell]])

"""An independent reference: cells and their gradients in NumPy, one step at a time.

A step takes the projected inputs of each gate, the weights that the gates read the states
with, the states, and a dropout mask for each weight. It returns the new states and a function
that takes their gradients back. Slopes are those of the pre-activations, nothing is merged
over gates or over time, and everything is in the order of time.
"""

import itertools

import numpy as np


def _sigmoid(a):
    return 1 / (1 + np.exp(-a))


ACTIVATIONS = {
    "tanh": (np.tanh, lambda a: 1 / np.cosh(a) ** 2),
    "relu": (lambda a: np.maximum(a, 0), lambda a: (a > 0).astype(a.dtype)),
    "sigmoid": (_sigmoid, lambda a: _sigmoid(a) * _sigmoid(-a)),
    "linear": (lambda a: a, np.ones_like),
    "hard_sigmoid": (
        lambda a: np.clip(a / 6 + 0.5, 0, 1),
        lambda a: (np.abs(a) < 3).astype(a.dtype) / 6,
    ),
}


def vanilla_step(p, W, states, masks, phi="tanh"):
    """h_t = phi(p + h W)."""
    value, slope = ACTIVATIONS[phi]
    (p,), (W,), (h,), (m,) = p, W, states, masks
    a = p + (m * h) @ W

    def back(delta_h):
        delta_a = delta_h * slope(a)
        return [delta_a], [(m * h).T @ delta_a], [m * (delta_a @ W.T)]

    return [value(a)], back


def lstm_step(p, W, states, masks, phi="tanh", sigma="sigmoid"):
    """c_t = f * c + i * g, h_t = o * phi(c_t), with the gates in the order i, f, g, o."""
    (value, slope), (gate, slope_of_gate) = ACTIVATIONS[phi], ACTIVATIONS[sigma]
    h, c = states
    a_i, a_f, a_g, a_o = (p[k] + (masks[k] * h) @ W[k] for k in range(4))
    i, f, g, o = gate(a_i), gate(a_f), value(a_g), gate(a_o)
    c_t = f * c + i * g

    def back(delta_h, delta_c):
        delta_o = delta_h * value(c_t)
        delta_c = delta_c + delta_h * o * slope(c_t)
        deltas = [
            delta_c * g * slope_of_gate(a_i),
            delta_c * c * slope_of_gate(a_f),
            delta_c * i * slope(a_g),
            delta_o * slope_of_gate(a_o),
        ]
        d_W = [(masks[k] * h).T @ deltas[k] for k in range(4)]
        d_h = sum(masks[k] * (deltas[k] @ W[k].T) for k in range(4))
        return deltas, d_W, [d_h, delta_c * f]

    return [o * value(c_t), c_t], back


def gru_step(p, W, states, masks, phi="tanh", sigma="sigmoid", reset_after=True):
    """h_t = z * h + (1 - z) * n, with the gates in the order z, r, n.

    After n there may be a fourth weight, the bias of what is reset after the product.
    """
    (value, slope), (gate, slope_of_gate) = ACTIVATIONS[phi], ACTIVATIONS[sigma]
    (h,) = states
    a_z, a_r = (p[k] + (masks[k] * h) @ W[k] for k in range(2))
    z, r = gate(a_z), gate(a_r)
    read = masks[2] * (h if reset_after else r * h)
    product = read @ W[2] + (W[3] if len(W) == 4 else 0)
    a_n = p[2] + (r * product if reset_after else product)
    n = value(a_n)

    def back(delta_h):
        delta_z = delta_h * (h - n) * slope_of_gate(a_z)
        delta_n = delta_h * (1 - z) * slope(a_n)
        delta_product = delta_n * r if reset_after else delta_n
        delta_read = masks[2] * (delta_product @ W[2].T)
        delta_r = delta_n * product if reset_after else delta_read * h
        delta_r = delta_r * slope_of_gate(a_r)
        d_W = [(masks[0] * h).T @ delta_z, (masks[1] * h).T @ delta_r, read.T @ delta_product]
        if len(W) == 4:
            d_W.append(delta_product.sum(0))
        d_h = delta_h * z + (delta_read if reset_after else delta_read * r)
        d_h = d_h + masks[0] * (delta_z @ W[0].T) + masks[1] * (delta_r @ W[1].T)
        return [delta_z, delta_r, delta_n], d_W, [d_h]

    return [z * h + (1 - z) * n], back


class Scan:
    """A cell over time, and backpropagation through it.

    Args:
        step: one of the functions above.
        inputs: for each gate, `(time, batch, units)`.
        weights: those of the step.
        states: those before the first step, `(batch, units)` each.
        mask: `(time, batch)`; a masked step keeps the states. Default: none.
        updates: for each state the share that steps renew, `(units,)`,
            `(time, batch, units)` or `None`, which is 1.
        dropout_masks: for each weight `(batch, units)` or `None`, which is 1.
    """

    def __init__(
        self, step, inputs, weights, states, mask=None, updates=None, dropout_masks=None
    ):
        length = len(inputs[0])
        self.inputs, self.weights, self.first = inputs, weights, states
        self.mask = np.ones((length, len(states[0]))) if mask is None else mask.astype(float)
        self.updates = [1.0 if u is None else u for u in updates or [None] * len(states)]
        masks = [1.0 if m is None else m for m in dropout_masks or [None] * len(weights)]
        self.steps, histories = [], []
        for t in range(length):
            new, back = step([p[t] for p in inputs], weights, states, masks)
            self.steps.append((states, new, back))
            states = [
                s + self.mask[t][:, None] * self._update(j, t) * (n - s)
                for j, (s, n) in enumerate(zip(states, new, strict=True))
            ]
            histories.append(states)
        self.histories = [np.stack(history) for history in zip(*histories, strict=True)]
        """Each state after every step, `(time, batch, units)`."""

    def _update(self, j, t):
        return self.updates[j][t] if np.ndim(self.updates[j]) == 3 else self.updates[j]

    def back(self, upstream, last_upstream=None, gates=None):
        """The gradients by name: `inputs`, `weights`, `states` and `updates`, each a list.

        Args:
            upstream: those that reach the first state at each step from outside,
                `(time, batch, units)`.
            last_upstream: those that reach each of the last states. Default: 0.
            gates: xi, `(time, batch or 1, 1)`: factors on what each step hands
                back to the states before it. Default: 1.
        """
        deltas = list(np.zeros_like(self.first) if last_upstream is None else last_upstream)
        d_inputs = [np.zeros_like(p) for p in self.inputs]
        d_weights = [np.zeros_like(W) for W in self.weights]
        d_updates = [np.zeros_like(u) for u in self.updates]
        for t in reversed(range(len(self.steps))):
            deltas[0] = deltas[0] + upstream[t]
            before, new, back = self.steps[t]
            counts = self.mask[t][:, None]
            shares = [counts * self._update(j, t) for j in range(len(before))]
            d_p, d_W, d_before = back(*(u * d for u, d in zip(shares, deltas, strict=True)))
            for total, part in zip(d_inputs, d_p, strict=True):
                total[t] = part
            for total, part in zip(d_weights, d_W, strict=True):
                total += part
            for j, (n, s, d) in enumerate(zip(new, before, deltas, strict=True)):
                d_u = counts * d * (n - s)
                if np.ndim(self.updates[j]) == 3:
                    d_updates[j][t] = d_u
                else:
                    d_updates[j] = d_updates[j] + d_u.sum(0)
            deltas = [
                (d_s + (1 - u) * d) * (1 if gates is None else gates[t])
                for d_s, u, d in zip(d_before, shares, deltas, strict=True)
            ]
        return {
            "inputs": d_inputs, "weights": d_weights, "states": deltas, "updates": d_updates
        }  # fmt: skip


def forward(x, W_x, W_h, b, h_0, activation="tanh", mask=None):
    """All states of a plain RNN, `(batch, time, units)`.

    Args:
        x: `(batch, time, features)`.
        mask: `(batch, time)`; a masked step keeps the state.
    """
    return _plain(x, W_x, W_h, b, h_0, activation, mask).histories[0].swapaxes(0, 1)


def backward(x, W_x, W_h, b, h_0, upstream, activation="tanh", mask=None, gates=None):
    """Gradients of a plain RNN for `x`, `W_x`, `W_h`, `b` and `h_0`, by name.

    Args:
        upstream: dL/dh_t that comes from outside the recurrence,
            `(batch, time, units)`.
        gates: as in `Scan.back`.
    """
    scan = _plain(x, W_x, W_h, b, h_0, activation, mask)
    found = scan.back(upstream.swapaxes(0, 1), gates=gates)
    delta_a = found["inputs"][0].swapaxes(0, 1)
    return {
        "x": delta_a @ W_x.T,
        "W_x": sum(x[:, t].T @ delta_a[:, t] for t in range(x.shape[1])),
        "W_h": found["weights"][0],
        "b": delta_a.sum((0, 1)),
        "h_0": found["states"][0],
    }


def _plain(x, W_x, W_h, b, h_0, activation, mask):
    def step(*arguments):
        return vanilla_step(*arguments, phi=activation)

    mask = None if mask is None else mask.T
    return Scan(step, [(x @ W_x + b).swapaxes(0, 1)], [W_h], [h_0], mask)


def language_model_logits(ids, tables, layers, W_o, b_o):
    """Logits of a stack of plain RNNs with residual connections, `(batch, time, ids)`.

    Args:
        ids: `(batch, time)`.
        tables: for each layer the rows that ids become, `(ids, units)`.
        layers: for each layer W_x (`None` for the first), W_h and b.
        W_o, b_o: of the output.
    """
    below = 0
    for table, (W_x, W_h, b) in zip(tables, layers, strict=True):
        W_x = np.eye(W_h.shape[0]) if W_x is None else W_x
        h_0 = np.zeros((len(ids), W_h.shape[0]))
        h = forward(below + table[ids], W_x, W_h, b, h_0)
        below = below + h
    return below @ W_o + b_o


def read_sequence(step, weights, x, mask, states=None):
    """The outputs of a recurrent layer, `(batch, time, units)`, and its last states.

    Args:
        step: `vanilla_step` or `lstm_step`.
        weights: kernel, recurrent kernel and bias; the gates side by side.
        x: `(batch, time, features)`.
        mask: `(batch, time)`; a masked step keeps the states, and puts them out again.
        states: the first ones. Default: zeros.
    """
    kernel, recurrent_kernel, bias = weights
    units = len(recurrent_kernel)
    num_gates = recurrent_kernel.shape[1] // units
    if states is None:
        states = [np.zeros((len(x), units))] * (2 if step is lstm_step else 1)
    inputs = np.split((x @ kernel + bias).swapaxes(0, 1), num_gates, -1)
    scan = Scan(step, inputs, np.split(recurrent_kernel, num_gates, 1), states, mask.T)
    return scan.histories[0].swapaxes(0, 1), [history[-1] for history in scan.histories]


def attend(queries, keys, values, mask, v=None):
    """Contexts and weights of attention, by the dot score; with `v` by the additive one.

    Args:
        queries: `(batch, time, units)`.
        keys, values: `(batch, source_time, units)`.
        mask: `(batch, source_time)`; weights are 0 where it is false.
        v: `(units,)`.
    """
    if v is None:
        scores = np.einsum("btu,bsu->bts", queries, keys)
    else:
        scores = np.tanh(queries[:, :, None] + keys[:, None]) @ v
    weights = np.exp(scores - scores.max(-1, keepdims=True)) * mask[:, None]
    weights /= weights.sum(-1, keepdims=True)
    return weights @ values, weights


def beam_search(log_p_after, tokens, end, max_length, beam, penalty):
    """Texts with their scores, the best ones first; it never stops early.

    Args:
        log_p_after: from a text, a tuple of tokens, to log p of each id as its next token.
        tokens: those that can be written.
        end: the id of the end.
        max_length: of a text, without its end.
        beam: how many unfinished texts are extended.
        penalty: of long texts.
    """
    unfinished, finished = [((), 0.0)], []
    for t in range(max_length + 1):
        extended = [
            ((*text, token), log_p + log_p_after(text)[token])
            for text, log_p in unfinished
            for token in ([end] if t == max_length else [*tokens, end])
        ]
        best = sorted(extended, key=lambda pair: -pair[1])[: 2 * beam]
        finished += [
            (text[:-1], log_p / ((5 + t + 1) / 6) ** penalty)
            for text, log_p in best
            if text[-1] == end
        ]
        unfinished = [pair for pair in best if pair[0][-1] != end][:beam]
    return sorted(finished, key=lambda pair: -pair[1])[:beam]


def all_texts(log_p_after, tokens, end, max_length, penalty):
    """Every text of at most `max_length` tokens with its score, the best ones first."""
    found = []
    for length in range(max_length + 1):
        for text in itertools.product(tokens, repeat=length):
            whole = (*text, end)
            log_p = sum(log_p_after(whole[:t])[whole[t]] for t in range(length + 1))
            found.append((text, log_p / ((5 + length + 1) / 6) ** penalty))
    return sorted(found, key=lambda pair: -pair[1])

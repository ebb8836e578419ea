"""An independent reference: a plain RNN and its gradients in NumPy, one step at a time."""

import numpy as np

ACTIVATIONS = {
    "tanh": (np.tanh, lambda a: 1 / np.cosh(a) ** 2),
    "relu": (lambda a: np.maximum(a, 0), lambda a: (a > 0).astype(a.dtype)),
    "sigmoid": (
        lambda a: 1 / (1 + np.exp(-a)),
        lambda a: np.exp(-a) / (1 + np.exp(-a)) ** 2,
    ),
    "linear": (lambda a: a, np.ones_like),
}


def forward(x, W_x, W_h, b, h_0, activation="tanh", mask=None, update=None, dropout_mask=None):
    """All states of a plain RNN.

    Args:
        x: `(batch, time, features)`.
        mask: `(batch, time)`; a masked step keeps the state.
        update: `(units,)` or `(time, batch, units)`, the share that steps renew.
        dropout_mask: `(batch, units)`, on what steps read of the state.

    Returns:
        States h_1 to h_T, `(batch, time, units)`, and all pre-activations.
    """
    phi, _ = ACTIVATIONS[activation]
    update = 1.0 if update is None else update
    dropout_mask = 1.0 if dropout_mask is None else dropout_mask
    h, states, pre_activations = h_0, [], []
    for t in range(x.shape[1]):
        a = x[:, t] @ W_x + (h * dropout_mask) @ W_h + b
        u = update[t] if np.ndim(update) == 3 else update
        new = (1 - u) * h + u * phi(a)
        h = new if mask is None else np.where(mask[:, t, None], new, h)
        states.append(h)
        pre_activations.append(a)
    return np.stack(states, 1), np.stack(pre_activations, 1)


def backward(
    x,
    W_x,
    W_h,
    b,
    h_0,
    upstream,
    activation="tanh",
    mask=None,
    gates=None,
    update=None,
    dropout_mask=None,
):
    """Backpropagation through time, weight gradients summed step by step.

    Args:
        upstream: dL/dh_t that comes from outside the recurrence,
            `(batch, time, units)`.
        gates: xi, `(time, batch or 1, 1)`: factors on what each step hands
            back to the state before it.

    Returns:
        Gradients for `x`, `W_x`, `W_h`, `b`, `h_0` and, where it is given,
        `update`, by name.
    """
    phi, derivative = ACTIVATIONS[activation]
    states, pre_activations = forward(
        x, W_x, W_h, b, h_0, activation, mask, update, dropout_mask
    )
    shares = np.ones_like(W_h[0]) if update is None else update
    dropout_mask = 1.0 if dropout_mask is None else dropout_mask
    gradients = {
        "x": np.zeros_like(x),
        "W_x": np.zeros_like(W_x),
        "W_h": np.zeros_like(W_h),
        "b": np.zeros_like(b),
        "update": np.zeros_like(shares),
    }
    delta_h = np.zeros_like(h_0)
    for t in reversed(range(x.shape[1])):
        delta_h = delta_h + upstream[:, t]
        before = states[:, t - 1] if t else h_0
        used = np.ones_like(delta_h) if mask is None else mask[:, t, None].astype(delta_h.dtype)
        u = shares[t] if shares.ndim == 3 else shares
        delta_u = used * delta_h * (phi(pre_activations[:, t]) - before)
        if shares.ndim == 3:
            gradients["update"][t] = delta_u
        else:
            gradients["update"] += delta_u.sum(0)
        delta_a = used * u * delta_h * derivative(pre_activations[:, t])
        gradients["x"][:, t] = delta_a @ W_x.T
        gradients["W_x"] += x[:, t].T @ delta_a
        gradients["W_h"] += (before * dropout_mask).T @ delta_a
        gradients["b"] += delta_a.sum(0)
        delta_h = dropout_mask * (delta_a @ W_h.T) + (1 - used * u) * delta_h
        delta_h = delta_h * (1 if gates is None else gates[t])
    gradients["h_0"] = delta_h
    if update is None:
        del gradients["update"]
    return gradients


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
        h, _ = forward(below + table[ids], W_x, W_h, b, h_0)
        below = below + h
    return below @ W_o + b_o

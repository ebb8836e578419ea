"""How the next character is chosen: what `generate` and exported graphs take."""

from typing import Any, NamedTuple

import numpy as np

from kerasrnn.checks import is_integer, is_number
from kerasrnn.models.samplers.sampler import Sampler
from kerasrnn.models.samplers.top_k import TopK
from kerasrnn.models.samplers.top_p import TopP

HIGHEST_TEMPERATURE = 1e6


class Choice(NamedTuple):
    """How characters are chosen; every field is a scalar tensor or a number."""

    temperature: Any = 1.0
    """What logits are divided by; 0 always takes the most probable character."""
    seed: Any = 0
    """int32."""
    top_k: Any = 0
    """See `TopK`; 0: all."""
    top_p: Any = 1.0
    """See `TopP`; 1: all."""

    @property
    def samplers(self) -> tuple[Sampler, ...]:
        """What leaves out improbable characters, in this order."""
        return TopK(self.top_k), TopP(self.top_p)


def make_choice(
    temperature: float,
    top_k: int | None,
    top_p: float | None,
    seed: int | None,
    num_drawn: int,
) -> Choice:
    """Checks the arguments of `generate`.

    Args:
        temperature, top_k, top_p, seed: as `CharLanguageModel.generate` takes
            them. Without a seed one is drawn from NumPy's generator.
        num_drawn: how many of the ids can be drawn.

    Returns:
        A `Choice`, in which 0 and 1.0 stand for no `top_k` and no `top_p`.

    Raises:
        ValueError: if an argument is out of range.
    """
    if not is_number(temperature) or not 0 <= temperature <= HIGHEST_TEMPERATURE:
        raise ValueError(
            f"temperature must lie in [0, {HIGHEST_TEMPERATURE:g}], "
            f"got temperature={temperature!r}. Use 0 for the most probable character always."
        )
    if top_k is not None and not (is_integer(top_k) and 1 <= top_k <= num_drawn):
        raise ValueError(
            f"top_k must be an integer in [1, {num_drawn}], the number of tokens that can be "
            f"drawn, got top_k={top_k!r}."
        )
    if top_p is not None and not (is_number(top_p) and 0 < top_p <= 1):
        raise ValueError(f"top_p must lie in (0, 1], got top_p={top_p!r}.")
    if seed is not None and not (is_integer(seed) and -(2**31) <= seed < 2**31):
        raise ValueError(f"seed must be a 32-bit integer, got seed={seed!r}.")
    if seed is None:
        seed = int(np.random.randint(2**31))
    top_p = 1.0 if top_p is None else top_p
    return Choice(float(temperature), int(seed), int(top_k or 0), float(top_p))

"""The arguments that say how characters are chosen."""

import pytest

from kerasrnn.models.choice import Choice, make_choice

NUM_IDS = 6


def test_what_is_not_asked_for_keeps_all():
    assert make_choice(0.5, None, None, 3, NUM_IDS - 1) == Choice(0.5, 3, top_k=0, top_p=1.0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            (-0.1, None, None, 0),
            r"temperature must lie in \[0, 1e\+06\], got temperature=-0.1",
        ),
        ((float("nan"), None, None, 0), "temperature must lie in"),
        ((float("inf"), None, None, 0), "temperature must lie in"),
        ((1.0, 6, None, 0), r"top_k must be an integer in \[1, 5\].*got top_k=6"),
        ((1.0, 0, None, 0), "top_k must be an integer in"),
        ((1.0, 2.5, None, 0), "top_k must be an integer in"),
        ((1.0, None, None, 1.5), "seed must be a 32-bit integer, got seed=1.5"),
        ((1.0, None, None, 2**31), "seed must be a 32-bit integer"),
        ((1.0, None, 0.0, 0), r"top_p must lie in \(0, 1\], got top_p=0.0"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        make_choice(*arguments, num_drawn=NUM_IDS - 1)

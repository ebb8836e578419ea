"""Generated arguments for everything public: it works, or one clear error names what is wrong.

HYPOTHESIS_EXAMPLES=1000 tries that many, other ones each time.
"""

import math
import os

import keras
import numpy as np
import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

import kerasrnn

EXAMPLES = os.environ.get("HYPOTHESIS_EXAMPLES")
CHECKED = settings(
    max_examples=int(EXAMPLES or 40),
    derandomize=EXAMPLES is None,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
WORDS = ["[PAD]", "[UNK]", "good", "bad"]
OBJECTS = st.sampled_from(["a", b"b", [], [1], {}, (), object(), 1j, math.nan, "1", print])


def kind(sane, *mad, optional=False):
    """Values that must be taken, and values that must not."""
    if optional:
        return st.none() | sane, st.one_of(OBJECTS, *mad)
    return sane, st.one_of(OBJECTS, st.none(), *mad)


def reals(low, high, *, open_low=False, open_high=False):
    """Real numbers in a range, and those outside of it."""
    inside = st.floats(low, high, exclude_min=open_low, exclude_max=open_high)
    below = st.floats(max_value=low, exclude_max=not open_low)
    above = st.floats(min_value=high, exclude_min=not open_high)
    return inside | inside.map(np.float64), below, above, st.booleans()


def integers(low, high):
    """Integers from a number, and what is none or below it."""
    inside = st.integers(low, high)
    below = st.integers(max_value=low - 1)
    halves = st.integers(low, high).map(lambda n: n + 0.5)
    return inside | inside.map(np.int64), below, halves, st.booleans()


SIZE = kind(*integers(1, 4))
PERHAPS_SIZE = kind(*integers(1, 4), optional=True)
RATE = kind(*reals(0, 1, open_high=True))
PROBABILITY = kind(*reals(0, 1))
CLIP = kind(*reals(0, 1e30, open_low=True, open_high=True), optional=True)
CLIP = CLIP[0], st.one_of(OBJECTS, st.floats(max_value=0), st.just(math.inf), st.booleans())
FLAG = kind(st.booleans(), st.integers(), st.sampled_from(["no", "True"]))
SEED = (
    st.none() | st.integers(0, 2**31 - 1),
    st.sampled_from(["a", b"b", [], {}, 1.5, math.nan]),
)
NO_NAMES = ["vanila", "", "Mean", 3, [], {"a": 1}]


def choice(*names):
    return kind(st.sampled_from(names), st.sampled_from(NO_NAMES))


TEXT = st.text("abc \n", min_size=2)
CHARACTERS = kind(st.just("abc"), st.integers(), st.sampled_from(["", ["ab", "c"], "\ud800b"]))
TRUNCATIONS = st.sampled_from(
    ["full", kerasrnn.TruncatedBPTT(2), kerasrnn.RandomizedTruncation(0.5), None]
)
SCHEDULES = st.sampled_from([kerasrnn.ConstantSampling(0.5), kerasrnn.LinearSampling(3)])
DENSE = keras.layers.Dense(2)
RECURRENT = [kerasrnn.VanillaRNN(2, return_sequences=True) for _ in range(3)]
LAYERS = (
    st.lists(st.sampled_from([DENSE, *RECURRENT]), min_size=1, max_size=3, unique_by=id),
    st.sampled_from(
        [
            [],
            [3],
            None,
            "ab",
            {"a": 1},
            [keras.layers.Dense],
            7,
            [DENSE, "a"],
            RECURRENT[:1] * 2,
        ]
    ),
)


def compiled(**options):
    layers = [kerasrnn.VanillaRNN(2, return_sequences=True), keras.layers.Dense(2)]
    kerasrnn.SequenceModel(layers).compile("sgd", "mse", **options)


def writer():
    model = kerasrnn.CharLanguageModel("abc", units=2)
    model(np.array([[1]]))
    return model


WRITER = []


def generate(**options):
    if not WRITER:
        WRITER.append(writer())
    return WRITER[0].generate(**options)


def from_tokens(tokens, batch_size):
    return kerasrnn.Stream.from_tokens(tokens, batch_size)


TOKENS = kind(
    st.integers(20, 30).map(np.arange),
    st.sampled_from(
        [3, "abc", np.arange(30) * 0.5, np.arange(1), np.ones([30, 2], int), ["a"]]
    ),
)
PUBLIC = {
    kerasrnn.VanillaRNN: {
        "units": SIZE,
        "activation": (
            st.sampled_from(["tanh", "relu", "linear", None]),
            st.sampled_from(NO_NAMES),
        ),
        "dropout": RATE,
        "recurrent_dropout": RATE,
        "zoneout": RATE,
        "alpha": kind(*reals(0, 1, open_low=True)),
        "learn_alpha": (st.just(False), FLAG[1]),
        "seed": SEED,
        "truncation": (TRUNCATIONS, st.sampled_from(["half", 3, [], kerasrnn.TruncatedBPTT])),
        "recurrent_initializer": (
            st.sampled_from(["orthogonal", "spectral_radius", "identity"]),
            st.sampled_from(["vanila", "Mean", 3, []]),
        ),
    },
    kerasrnn.VanillaRNNCell: {
        "units": SIZE,
        "zoneout": RATE,
        "residual": FLAG,
        "use_kernel": FLAG,
        "dropout": RATE,
        "seed": SEED,
    },
    kerasrnn.RNN: {
        "cell": (
            st.just(keras.layers.LSTMCell(2)),
            st.sampled_from([None, 3, "lstm", [], [3], keras.layers.LSTMCell]),
        ),
        "truncation": (TRUNCATIONS, st.sampled_from(["half", 3, []])),
    },
    kerasrnn.TruncatedBPTT: {"window": SIZE},
    kerasrnn.RandomizedTruncation: {
        "keep_probability": kind(*reals(0, 1, open_low=True)),
    },
    kerasrnn.SpectralRadius: {
        "radius": (st.floats(0.1, 3), CLIP[1] | st.none()),
        "seed": SEED,
    },
    kerasrnn.ConstantSampling: {"probability": PROBABILITY},
    kerasrnn.LinearSampling: {
        "num_steps": (st.integers(1, 9), CLIP[1] | st.none()),
        "start": PROBABILITY,
        "end": PROBABILITY,
    },
    kerasrnn.ExponentialSampling: {"k": kind(*reals(0, 1, open_low=True, open_high=True))},
    kerasrnn.InverseSigmoidSampling: {
        "k": kind(st.floats(1, 1e6), st.floats(max_value=1, exclude_max=True), st.booleans())
    },
    kerasrnn.ScheduledSampling: {
        "sampling_probability": (PROBABILITY[0] | SCHEDULES, PROBABILITY[1]),
        "draw": choice("greedy", "sample"),
    },
    kerasrnn.RandomWindow: {
        "mean": (st.integers(5, 9), SIZE[1]),
        "standard_deviation": kind(st.floats(0, 9), st.floats(max_value=-1e-9), st.booleans()),
        "full_probability": PROBABILITY,
        "min_length": (st.integers(1, 5), SIZE[1]),
        "seed": (st.integers(0, 9), st.one_of(st.none(), SEED[1], st.integers(max_value=-1))),
    },
    kerasrnn.TextClassifier: {
        "vocabulary": (st.just(WORDS), st.sampled_from([None, 3, "abc", [b"a"], [""], {}])),
        "labels": (
            st.just(("no", "yes")),
            st.sampled_from([None, 3, "ab", ["a"], ["a", "a"], [1, 2]]),
        ),
        "max_length": SIZE,
        "embedding_dim": SIZE,
        "units": SIZE,
        "cell": choice("vanilla", "lstm", "gru"),
        "bidirectional": FLAG,
        "pooling": choice("mean_max", "last"),
        "dropout": RATE,
    },
    kerasrnn.CharLanguageModel: {
        "vocabulary": CHARACTERS,
        "units": SIZE,
        "num_layers": SIZE,
        "cell": choice("vanilla", "lstm", "gru"),
        "embedding_dim": PERHAPS_SIZE,
        "dropout": RATE,
        "residual": FLAG,
    },
    kerasrnn.SequenceModel: {"layers": LAYERS},
    compiled: {
        "window": PERHAPS_SIZE,
        "carry_state": FLAG,
        "truncation": (st.none() | st.just("full"), st.sampled_from(["half", 3, [], 1j])),
        "teacher_forcing": kind(*reals(0, 1), optional=True),
        "clip_norm": CLIP,
        "time_reduction": choice("mean", "sum"),
        "accumulation_steps": SIZE,
        "parallel_parts": SIZE,
        "recompute": (st.just(False), FLAG[1]),
        "non_finite": choice("raise", "skip"),
    },
    generate: {
        "prompts": (TEXT, st.sampled_from([None, 3, b"to", [b"to"], ["a", 3], {}])),
        "length": kind(*integers(0, 4)),
        "temperature": (st.floats(0, 9), st.one_of(OBJECTS, st.floats(max_value=-1e-9))),
        "top_k": kind(*integers(1, 3), optional=True),
        "top_p": kind(*reals(0, 1, open_low=True), optional=True),
        "seed": SEED,
    },
    from_tokens: {"tokens": TOKENS, "batch_size": SIZE},
    kerasrnn.Vocabulary: {
        "words": (
            st.lists(st.text("abc", min_size=1), unique=True).map(lambda w: WORDS[:2] + w),
            st.sampled_from(
                [None, 3, "ab", [*WORDS, ""], [*WORDS, "a\nb"], [*WORDS, 3], WORDS[:2] * 2]
            ),
        )
    },
    kerasrnn.CharacterVocabulary.from_text: {
        "text": (TEXT, st.sampled_from([None, 3, b"ab", "\ud800", {}]))
    },
}


@pytest.mark.parametrize("function", PUBLIC, ids=lambda f: f.__qualname__)
@CHECKED
@given(draw=st.data())
def test_it_works_or_says_which_argument_is_wrong(function, draw):
    arguments = PUBLIC[function]
    mad = draw.draw(st.none() | st.sampled_from(sorted(arguments)))
    values = {
        name: draw.draw(strategies[name == mad], name) for name, strategies in arguments.items()
    }
    if mad is None:
        function(**values)
        return
    with pytest.raises((ValueError, TypeError)) as raised:
        function(**values)
    said = str(raised.value)
    note(said)
    argument = mad.removesuffix("s")
    assert argument in said or repr(values[mad]) in said or argument.split("_")[-1] in said
    assert len(said) < 500
    assert len(said.splitlines()) <= 2

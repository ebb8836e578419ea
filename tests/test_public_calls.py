"""Whatever is given to any argument of anything public: it works, or one line names it.

`test_constructors.py` draws from the ranges of numbers; here every argument meets every kind of
nonsense, flags and paths and layers and data, too.

Each argument is drawn from sane or from mad values. With sane ones alone an object must
come; with a mad one an error must, which names that argument or its value.
"""

import functools
import os
from functools import partial

import hypothesis.strategies as st
import keras
import numpy as np
import tensorflow as tf
from hypothesis import HealthCheck, given, settings

import kerasrnn

_EXAMPLES = os.environ.get("HYPOTHESIS_EXAMPLES")
bounded = settings(
    max_examples=int(_EXAMPLES or "50"),
    derandomize=_EXAMPLES is None,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)

NAN, INFINITY = float("nan"), float("inf")
NOTHING = [[], {}, (), b"", b"to", object(), "", "nonsense", [None], np.array([0.5, 0.5])]


def stack(kinds):
    """Recurrent layers of these kinds."""
    return [kind(2, return_sequences=True) for kind in kinds]


class Kind:
    """A kind of argument: values that must work, and values that must be refused."""

    def __init__(self, sane, mad, optional=False):
        self.sane = st.one_of(*sane)
        self.mad = [*NOTHING, *mad, *([] if optional else [None])]
        if optional:
            self.sane = st.none() | self.sane


def numbers(low, high, mad, *, exclude_min=False, exclude_max=False, optional=False):
    inside = st.floats(low, high, exclude_min=exclude_min, exclude_max=exclude_max)
    # What is neither zero nor as good as that, which NumPy's float32 could make of it.
    inside = inside.filter(lambda value: value == low or low + 1e-3 < value < high - 1e-3)
    sane = [inside, inside.map(np.float32), inside.map(np.float64)]
    return Kind(sane, [*mad, NAN, INFINITY, -INFINITY, True, False, "0.5", 1j], optional)


def integers(low, high, mad, optional=False):
    inside = st.integers(low, high)
    mad = [*mad, NAN, INFINITY, 2.5, 3.0, "3", True, False, np.float32(3), np.array([3])]
    return Kind([inside, inside.map(np.int64), inside.map(np.uint8)], mad, optional)


def sizes(optional=False):
    return integers(1, 4, [0, -1, -(10**30)], optional)


def choices(*names):
    return Kind([st.sampled_from(names)], [1, True, NAN, names[0].encode(), [names[0]]])


FLAG = Kind(
    [st.booleans(), st.booleans().map(np.bool_)], [0, 1, 1.0, NAN, "no", "True", [True]]
)
RATE = numbers(0, 1, [1, 1.5, -0.5], exclude_max=True)
PROBABILITY = numbers(0, 1, [1.5, -0.5, 2])
SHARE = numbers(0, 1, [0, 1.5, -0.5], exclude_min=True)
SEED = integers(0, 200, [], optional=True)
POSITIVE = numbers(0, 100, [0, -1, -0.5], exclude_min=True)
WEIGHTS_START = Kind(
    [st.sampled_from(["zeros", "glorot_uniform", "identity", keras.initializers.Zeros()])],
    [3, NAN],
    optional=True,
)
# Keras takes an array as the values themselves.
WEIGHTS_START.mad = [value for value in WEIGHTS_START.mad if not isinstance(value, np.ndarray)]
PENALTY = Kind([st.sampled_from(["l2", keras.regularizers.L1(0.1)])], [3, NAN], optional=True)
CONSTRAINT = Kind([st.just("max_norm")], [3, NAN], optional=True)
ACTIVATION = Kind(
    [st.sampled_from(["tanh", "relu", "hard_sigmoid", "linear", keras.activations.gelu])],
    [3, NAN],
    optional=True,
)
NAME = Kind([st.sampled_from(["a", "b_1"])], [3, "a/b", True], optional=True)
# Any text is a name, and an empty one is none.
NAME.mad = [value for value in NAME.mad if not isinstance(value, str) or "/" in value]
TRUNCATION = Kind(
    [
        st.just("full"),
        st.integers(1, 9).map(kerasrnn.TruncatedBPTT),
        SHARE.sane.map(kerasrnn.RandomizedTruncation),
        st.just(kerasrnn.FullBPTT()).map(keras.saving.serialize_keras_object),
    ],
    [3, 0.5, True, NAN, "random", kerasrnn.TruncatedBPTT, {"class_name": "No"}],
    optional=True,
)
RANDOM_WINDOW = st.integers(5, 9).map(kerasrnn.RandomWindow)
WINDOW = Kind(
    [st.integers(1, 9), st.integers(1, 9).map(np.int64), RANDOM_WINDOW],
    [0, -1, 2.5, "4", True, NAN, INFINITY, [4], kerasrnn.RandomWindow],
    optional=True,
)
SCHEDULE = [
    st.integers(1, 9).map(kerasrnn.LinearSchedule),
    st.just(kerasrnn.ExponentialSchedule(0.9)),
    st.just(kerasrnn.InverseSigmoidSchedule(9.0)),
]
NO_SCHEDULE = [1.5, -0.5, NAN, True, False, kerasrnn.LinearSchedule, "0.5"]
SAMPLING = Kind([PROBABILITY.sane, *SCHEDULE], NO_SCHEDULE)
TEACHER_FORCING = Kind(
    [PROBABILITY.sane, st.one_of(SCHEDULE).map(kerasrnn.ScheduledSampling)],
    NO_SCHEDULE,
    optional=True,
)
WORDS = ["[PAD]", "[UNK]"]
WORDS_OF_TEXTS = st.lists(st.text("abc", min_size=1), max_size=3, unique=True)
VOCABULARY = Kind(
    [
        WORDS_OF_TEXTS.map(lambda words: [*WORDS, *words]),
        WORDS_OF_TEXTS.map(lambda words: kerasrnn.Vocabulary([*WORDS, *words])),
    ],
    [3, True, WORDS[:1], [*WORDS, "a", "a"], [*WORDS, "a\nb"], [*WORDS, 3], "[PAD]", ["a"]],
)
WORD_LIST = Kind([WORDS_OF_TEXTS.map(lambda words: [*WORDS, *words])], VOCABULARY.mad)
LABELS = Kind(
    [st.lists(st.text("abé 問", min_size=1, max_size=4), min_size=2, max_size=5, unique=True)],
    [3, ["a"], ["a", "a"], ["a", "b", "a"], ["a", "b\n"], ["", "a"], "ab", [1, 2], ["a", None]],
)
CHARACTERS = Kind(
    [
        st.text("abcdé\n", min_size=2).filter(lambda t: len(set(t)) > 1).map(set).map("".join),
        st.just(kerasrnn.CharacterVocabulary("ab")),
    ],
    [3, True, "a", "aa", ["ab"], ["a", 3], ["\ud800", "a"]],
)
TOKENS = Kind(
    [WORDS_OF_TEXTS],
    [3, True, ["a", "a"], ["a b"], ["a\n"], ["[END]"], [3], ["\ud800"]],
)
# An empty list has no tokens.
TOKENS.mad = [value for value in TOKENS.mad if not isinstance(value, (list, tuple)) or value]
A_OR_B = kerasrnn.TokenVocabulary(["a", "b"], "whitespace")
TOKEN_VOCABULARY = Kind(
    [st.just(A_OR_B), st.just(kerasrnn.TokenVocabulary(["é"], "character"))],
    [3, True, "ab", ["a", "b"], kerasrnn.TokenVocabulary, kerasrnn.CharacterVocabulary("ab")],
)
NO_TOKENS = kerasrnn.TokenVocabulary([], "whitespace")
WRITTEN = Kind([TOKEN_VOCABULARY.sane], [*TOKEN_VOCABULARY.mad, NO_TOKENS])
ENCODER = Kind(
    [st.just(partial(keras.layers.Dense, 2))],
    [3, True, "cnn", keras.layers.Dense, [3]],
    optional=True,
)
LETTERS = Kind([st.sets(st.characters(exclude_categories=["Cs"])).map("".join)], [])
LETTERS.mad = [b"to", b"", {}, None, 3, True, NAN, "aa", ["ab"], [3], ["\ud800"], "nonsense"]
RECURRENT = [kerasrnn.VanillaRNN, kerasrnn.LSTM, keras.layers.SimpleRNN, keras.layers.GRU]
LAYERS = Kind(
    [st.lists(st.sampled_from(RECURRENT), min_size=1, max_size=2).map(partial(partial, stack))],
    [3, True, [3], ["a"], [keras.layers.Dense], [keras.layers.Dense(1), None], "ab"],
)
LAYERS.mad += [keras.layers.Dense(1), [[keras.layers.Dense(1)]]]
CELLS = [keras.layers.LSTMCell, kerasrnn.VanillaRNNCell, kerasrnn.GRUCell]
CELL = Kind(
    [st.builds(partial, st.sampled_from(CELLS), st.integers(1, 3))],
    [3, True, NAN, keras.layers.LSTMCell, [3]],
)
SEQUENCES = Kind(
    [st.lists(st.integers(2, 5).map(np.arange), min_size=4, max_size=5)],
    [3, True, NAN, [1, 2, 3, 4], [["a", "b"]] * 4, [[1, [2]]] * 4, [np.ones(3)] * 3 + [[1]]],
)

QUANTILES = Kind(
    [st.sampled_from([(0.5,), (0.1, 0.5, 0.9), [np.float32(0.25), 0.5]])],
    [3, 0.5, True, NAN, (0.1, 0.9), (0.5, 0.5), (0.9, 0.5), (0, 0.5), (0.5, 1), "ab"],
)
SERIES = Kind(
    [st.integers(8, 12).map(lambda n: [np.arange(n * 1.0), np.arange(9)])],
    [3, True, NAN, [1.0, 2.0], ["a"] * 9, [NAN] * 9, [INFINITY] * 9, [[1, 2], [3]], "ab"],
)


def compiled(**options):
    rnn = kerasrnn.VanillaRNN(2, return_sequences=True)
    model = kerasrnn.SequenceModel([rnn, keras.layers.Dense(2)])
    model.compile(**{"optimizer": "sgd", "loss": "mse", **options})
    return model


METRICS = Kind([st.just(["mae"]), st.just([])], [3, "mae", True], optional=True)
# Keras takes them, or says what is wrong when training begins.
METRICS.mad = [value for value in METRICS.mad if not isinstance(value, (list, tuple, dict))]
EVERY_CELL = {
    "units": sizes(),
    "activation": ACTIVATION,
    **dict.fromkeys(["use_bias", "residual"], FLAG),
    **dict.fromkeys(
        ["kernel_initializer", "recurrent_initializer", "bias_initializer"], WEIGHTS_START
    ),
    **dict.fromkeys(
        ["kernel_regularizer", "recurrent_regularizer", "bias_regularizer"], PENALTY
    ),
    **dict.fromkeys(
        ["kernel_constraint", "recurrent_constraint", "bias_constraint"], CONSTRAINT
    ),
    **dict.fromkeys(["dropout", "recurrent_dropout", "zoneout"], RATE),
    "seed": SEED,
    "name": NAME,
}
IMPLEMENTATION = Kind([st.sampled_from([0, 1, 2])], [-1, 3, 1.0, True, "1", NAN])
GATED_CELL = {
    **EVERY_CELL,
    "recurrent_activation": ACTIVATION,
    "implementation": IMPLEMENTATION,
}
RATES = Kind([RATE.sane, st.lists(RATE.sane, min_size=2, max_size=2)], [*RATE.mad, [0.1]])
RATES.mad += [[0.1, 1.0], [0.1, 0.1, 0.1]]
CELL_ARGUMENTS = {
    "VanillaRNNCell": {**EVERY_CELL, "use_kernel": FLAG, "leak_rate": SHARE},
    "LSTMCell": {**GATED_CELL, "unit_forget_bias": FLAG, "zoneout": RATES},
    "GRUCell": {**GATED_CELL, "reset_after": FLAG},
}
LAYER_FLAGS = ["return_sequences", "return_state", "go_backwards", "stateful", "unroll"]
LAYER_FLAG = Kind([FLAG.sane, st.integers(0, 1)], [2, 1.0, NAN, "no", "True", [True]])
LAYER_FLAGS = dict.fromkeys([*LAYER_FLAGS, "zero_output_for_mask"], LAYER_FLAG)
OF_LAYERS = {**LAYER_FLAGS, "truncation": TRUNCATION, "activity_regularizer": PENALTY}
USE_CUDNN = Kind([st.sampled_from(["auto", True, False])], [0, 1, "yes", NAN])
# What is called, what it needs in any case, and the kinds of its arguments.
CALLS = {
    **{
        name: (getattr(kerasrnn, name), {"units": 2}, kinds)
        for name, kinds in CELL_ARGUMENTS.items()
    },
    "VanillaRNN": (
        kerasrnn.VanillaRNN,
        {"units": 2},
        {**CELL_ARGUMENTS["VanillaRNNCell"], **OF_LAYERS},
    ),
    **{
        name: (
            getattr(kerasrnn, name),
            {"units": 2},
            {**CELL_ARGUMENTS[f"{name}Cell"], **OF_LAYERS, "use_cudnn": USE_CUDNN},
        )
        for name in ("LSTM", "GRU")
    },
    "VanillaRNN learn_leak_rate": (
        kerasrnn.VanillaRNN,
        {"units": 2, "leak_rate": 0.5},
        {"learn_leak_rate": FLAG},
    ),
    "RNN": (
        kerasrnn.RNN,
        {"cell": partial(CELLS[0], 2)},
        {"cell": CELL, "truncation": TRUNCATION, **LAYER_FLAGS},
    ),
    "FullBPTT": (kerasrnn.FullBPTT, {}, {}),
    "TruncatedBPTT": (kerasrnn.TruncatedBPTT, {"window": 2}, {"window": sizes()}),
    "RandomizedTruncation": (
        kerasrnn.RandomizedTruncation,
        {"keep_probability": 0.5},
        {"keep_probability": SHARE, "per_sequence": FLAG},
    ),
    "SpectralRadius": (kerasrnn.SpectralRadius, {}, {"radius": POSITIVE, "seed": SEED}),
    "LinearSchedule": (
        kerasrnn.LinearSchedule,
        {"num_steps": 3},
        {"num_steps": POSITIVE, "start": PROBABILITY, "end": PROBABILITY},
    ),
    "ExponentialSchedule": (
        kerasrnn.ExponentialSchedule,
        {"k": 0.5},
        {"k": numbers(0, 1, [0, 1, 2, -1], exclude_min=True, exclude_max=True)},
    ),
    "InverseSigmoidSchedule": (
        kerasrnn.InverseSigmoidSchedule,
        {"k": 2},
        {"k": numbers(1, 100, [0.5, 0, -1])},
    ),
    "ScheduledSampling": (
        kerasrnn.ScheduledSampling,
        {"sampling_probability": 0.5},
        {"sampling_probability": SAMPLING, "draw": choices("greedy", "sample")},
    ),
    "RandomWindow": (
        kerasrnn.RandomWindow,
        {"mean": 9},
        {
            "mean": integers(5, 20, [0, -1, 4]),
            "standard_deviation": numbers(0, 9, [-1]),
            "full_probability": PROBABILITY,
            "min_length": integers(1, 5, [0, -1, 10**9]),
            "seed": integers(0, 200, [-1]),
        },
    ),
    "Stream": (
        kerasrnn.Stream,
        {"inputs": [np.arange(3)] * 4, "batch_size": 2},
        {"inputs": SEQUENCES, "batch_size": integers(1, 4, [0, -1, 10**9])},
    ),
    "GlobalMeanMaxPooling1D": (kerasrnn.GlobalMeanMaxPooling1D, {}, {"name": NAME}),
    "Perplexity": (kerasrnn.Perplexity, {}, {"from_logits": FLAG}),
    "BitsPerCharacter": (kerasrnn.BitsPerCharacter, {}, {"from_logits": FLAG}),
    "Vocabulary": (kerasrnn.Vocabulary, {"whitespace": WORDS}, {"whitespace": WORD_LIST}),
    "word_vectors": (
        kerasrnn.word_vectors,
        {"ids": tf.ragged.constant([[0, 0], []], tf.int32), "num_words": 2, "size": 2},
        dict.fromkeys(["num_words", "size", "window"], sizes()),
    ),
    "CharacterVocabulary": (
        kerasrnn.CharacterVocabulary,
        {"character": "ab"},
        {"character": LETTERS},
    ),
    "TokenVocabulary": (
        kerasrnn.TokenVocabulary,
        {"tokens": ["a"], "units": "whitespace"},
        {"tokens": TOKENS, "units": choices("whitespace")},
    ),
    "SmoothedCrossentropy": (
        kerasrnn.SmoothedCrossentropy,
        {},
        {"label_smoothing": RATE},
    ),
    "Seq2Seq": (
        kerasrnn.Seq2Seq,
        {
            "source_vocabulary": A_OR_B,
            "target_vocabulary": A_OR_B,
            "units": 2,
            "embedding_dim": 2,
        },
        {
            "source_vocabulary": TOKEN_VOCABULARY,
            "target_vocabulary": WRITTEN,
            **dict.fromkeys(["num_layers", "embedding_dim"], sizes()),
            **dict.fromkeys(["max_source_length", "max_target_length"], sizes()),
            "cell": choices("vanilla", "lstm", "gru"),
            "attention": Kind([st.sampled_from(["dot", "additive"])], [3, NAN], optional=True),
            "bidirectional": FLAG,
            **dict.fromkeys(["dropout", "recurrent_dropout"], RATE),
            "name": NAME,
        },
    ),
    "Seq2Seq units": (
        kerasrnn.Seq2Seq,
        {"source_vocabulary": A_OR_B, "target_vocabulary": A_OR_B, "bidirectional": False},
        {"units": sizes()},
    ),
    "SequenceDecoder": (
        kerasrnn.SequenceDecoder,
        {"vocabulary": A_OR_B, "units": 2, "embedding_dim": 2},
        {
            "vocabulary": WRITTEN,
            "encoder": ENCODER,
            **dict.fromkeys(["units", "num_layers", "embedding_dim", "max_length"], sizes()),
            "cell": choices("vanilla", "lstm", "gru"),
            "feed": choices("previous", "zero"),
            **dict.fromkeys(["dropout", "recurrent_dropout"], RATE),
            "name": NAME,
        },
    ),
    "TextClassifier": (
        kerasrnn.TextClassifier,
        {"vocabulary": WORDS, "units": 2, "embedding_dim": 2},
        {
            "vocabulary": VOCABULARY,
            "labels": LABELS,
            **dict.fromkeys(["max_length", "embedding_dim", "units"], sizes()),
            "cell": choices("vanilla", "lstm", "gru"),
            "pooling": choices("mean_max", "last"),
            "bidirectional": FLAG,
            "filters": sizes(optional=True),
            "word_pairs": sizes(optional=True),
            "dropout": RATE,
            "name": NAME,
        },
    ),
    "Forecaster": (
        kerasrnn.Forecaster,
        {"horizon": 2, "units": 2},
        {
            **dict.fromkeys(["horizon", "num_variables", "units"], sizes()),
            "num_known": integers(0, 3, [-1]),
            "method": choices("direct", "recursive"),
            "output": choices("point", "quantiles", "gaussian"),
            "quantiles": QUANTILES,
            "cell": choices("vanilla", "lstm", "gru"),
            "dropout": RATE,
            "name": NAME,
        },
    ),
    "forecast_windows": (
        kerasrnn.forecast_windows,
        {"series": np.arange(9.0), "past": 2, "horizon": 1},
        {
            "series": SERIES,
            **dict.fromkeys(["past", "horizon", "batch_size"], sizes()),
            "seed": integers(0, 200, [], optional=True),
        },
    ),
    "WordLanguageModel": (
        kerasrnn.WordLanguageModel,
        {"num_words": 3, "units": 2, "embedding_dim": 2},
        {
            **dict.fromkeys(["num_words", "units", "embedding_dim", "num_sampled"], sizes()),
            "cell": choices("vanilla", "lstm", "gru"),
            "dropout": RATE,
            "name": NAME,
        },
    ),
    "CharLanguageModel": (
        kerasrnn.CharLanguageModel,
        {"vocabulary": "ab", "units": 2},
        {
            "vocabulary": CHARACTERS,
            "num_layers": sizes(),
            "cell": choices("vanilla", "lstm", "gru"),
            "embedding_dim": sizes(optional=True),
            "dropout": RATE,
            "recurrent_dropout": RATE,
            "residual": FLAG,
            "name": NAME,
        },
    ),
    "CharLanguageModel tied": (
        kerasrnn.CharLanguageModel,
        {"vocabulary": "ab"},
        {"units": sizes(), "tie_weights": FLAG},
    ),
    "SequenceModel": (
        kerasrnn.SequenceModel,
        {"layers": partial(stack, RECURRENT[:1])},
        {"layers": LAYERS, "name": NAME},
    ),
    "compile windows": (
        compiled,
        {},
        {"window": WINDOW, "carry_state": FLAG, "non_finite": choices("raise", "skip")},
    ),
    "compile stride": (compiled, {"window": 9}, {"stride": integers(1, 9, [0, -1, 10], True)}),
    "compile whole sequences": (
        compiled,
        {},
        {
            "truncation": TRUNCATION,
            "teacher_forcing": TEACHER_FORCING,
            "time_reduction": choices("mean", "sum"),
            "parallel_parts": sizes(),
            "run_eagerly": FLAG,
            "steps_per_execution": integers(1, 4, [0, -1]),
        },
    ),
    **{
        f"compile {name}": (compiled, {}, {name: kind})
        for name, kind in {
            "global_clipnorm": numbers(0, 9, [0, -1], exclude_min=True, optional=True),
            "clipvalue": numbers(0, 9, [0, -1], exclude_min=True, optional=True),
            "recompute": FLAG,
            "optimizer": Kind([st.sampled_from(["sgd", "adam"])], [3, NAN, True]),
            "loss": Kind([st.just("mse"), st.just(keras.losses.MeanSquaredError())], [3, NAN]),
            "metrics": METRICS,
        }.items()
    },
}
OF_KERAS = {
    "activity_regularizer",
    *(
        f"{weight}_{what}"
        for weight in ("kernel", "recurrent", "bias")
        for what in ("initializer", "regularizer", "constraint")
    ),
}
UNNAMED = {"character", "whitespace", "vocabulary"}
"""Arguments of which the message names the wrong part alone."""


@st.composite
def calls(draw):
    """A function, its arguments, and the name of the mad one, if there is one."""
    function, arguments, kinds = CALLS[draw(st.sampled_from(sorted(CALLS)))]
    names = (
        draw(st.lists(st.sampled_from(sorted(kinds)), max_size=6, unique=True)) if kinds else []
    )
    mad = draw(st.none() | st.sampled_from(sorted(kinds))) if kinds else None
    drawn = {name: draw(kinds[name].sane) for name in names if name != mad}
    if mad is not None:
        drawn[mad] = draw(st.sampled_from(kinds[mad].mad))
    return function, {**arguments, **drawn}, mad


@bounded
@given(calls())
def test_a_call_works_or_names_what_is_wrong(call):
    function, arguments, mad = call
    # Layers are made here: strategies must not draw from the generators of Keras.
    arguments = {k: v() if isinstance(v, partial) else v for k, v in arguments.items()}
    try:
        made = function(**arguments)
    except (ValueError, TypeError) as error:
        message = str(error)
        assert mad is not None, f"{arguments} must work: {message}"
        assert message.strip().count("\n") < 2, message
        assert _names(message, mad, arguments[mad]), f"{mad}={arguments[mad]!r}: {message}"
    else:
        assert mad is None, f"{mad}={arguments[mad]!r} was taken"
        assert made is not None


def _names(message, name, value):
    values = [value, *value] if isinstance(value, (list, tuple)) else [value]
    shown = [repr(value) for value in values] + [str(value) for value in values]
    named = name in message or name in UNNAMED
    if name in OF_KERAS:  # which says "initializer identifier", whichever of them it is
        named = name.split("_")[-1] in message.lower()
    return named or any(text and text in message for text in shown)


@functools.cache
def built():
    """A model that has seen data, made once."""
    model = compiled()
    model(np.ones([2, 4, 2], "float32"))
    return model


@functools.cache
def built_seq2seq():
    return kerasrnn.Seq2Seq(A_OR_B, A_OR_B, units=2, embedding_dim=2, cell="vanilla")


@functools.cache
def windowed():
    return compiled(window=2)


X = np.ones([2, 4, 2], "float32")
STREAM = kerasrnn.Stream(X, X, batch_size=2)
# Any text is the path of a file that may be.
PATH = Kind([st.nothing()], [3, True, NAN, "\0"])
PATH.mad = [v for v in PATH.mad if not isinstance(v, str) or v in ("", "\0")]
MODEL = Kind([st.nothing()], [3, True, NAN, keras.Model, kerasrnn.SequenceModel, np.ones(3)])
NO_DATA = Kind([st.nothing()], [3, True, NAN, [["a"]], np.array(["a"]), "ab"])
WEIGHTS = Kind([st.nothing()], NO_DATA.mad)
WEIGHTS.mad = [v for v in NO_DATA.mad if not (isinstance(v, np.ndarray) and v.dtype == float)]
LAYER = integers(0, 0, [9, -9])
STEPS = integers(1, 3, [0, 9, -9])
LAGS = integers(1, 3, [0, 9, -9], optional=True)
LAGS.mad = [v for v in LAGS.mad if not isinstance(v, np.ndarray)]  # several lags are sane
WHOLE = integers(0, 9, [-1])
CONFIG = Kind([st.nothing()], [3, {1: object()}, {"a": b"a"}], optional=True)
CONFIG.mad = [value for value in CONFIG.mad if not isinstance(value, dict) or value]
TEXT = Kind([st.nothing()], [3, True, NAN, ["a"]])
TEXT.mad = [value for value in TEXT.mad if not isinstance(value, str)]
CARD = Kind([st.nothing()], [3, True, NAN], optional=True)
CARD.mad = [value for value in CARD.mad if not isinstance(value, str)]
EXPORT = {"model": MODEL, "directory": PATH, "receipt": PATH, "model_card": CARD}
BATCH_ARGUMENTS = {"model": built, "inputs": X, "targets": X}
# Functions that take time for sane arguments, which the other tests give them.
REFUSING = {
    "export": (
        kerasrnn.export,
        {"model": built, "directory": "no_folder"},
        {**EXPORT, "keep": sizes(optional=True), "config": CONFIG},
    ),
    "convert": (
        kerasrnn.convert,
        {"exported": "no_folder", "output": "no_file"},
        {"exported": PATH, "output": PATH, "format": choices("onnx", "litert")},
    ),
    "exposure_bias": (
        kerasrnn.exposure_bias,
        BATCH_ARGUMENTS,
        {
            "model": MODEL,
            "inputs": NO_DATA,
            "targets": NO_DATA,
            "context": STEPS,
            "draw": choices("greedy", "sample"),
            "seed": integers(0, 9, [2**31]),
            "batch_size": sizes(),
        },
    ),
    "gradient_flow": (
        kerasrnn.gradient_flow,
        BATCH_ARGUMENTS,
        {"model": MODEL, "training": FLAG, "lag": LAGS},
    ),
    "GradientFlow": (
        kerasrnn.GradientFlow,
        {"inputs": X, "targets": X},
        {"every": sizes(), "log_dir": PATH, "lag": sizes(optional=True)},
    ),
    "attention_weights": (
        kerasrnn.attention_weights,
        {"model": built_seq2seq, "source": "a", "target": "b"},
        {"model": MODEL, "source": TEXT, "target": TEXT},
    ),
    "state_jacobian": (
        kerasrnn.state_jacobian,
        {"model": built, "inputs": X, "lag": 1},
        {
            "model": MODEL,
            "lag": STEPS,
            "step": integers(1, 3, [9, -9]),
            "layer": integers(0, 0, [9, -9]),
        },
    ),
    "train": (
        kerasrnn.train,
        {"model": windowed, "data": STREAM, "verbose": 0},
        {
            "model": MODEL,
            "data": NO_DATA,
            "validation_data": NO_DATA,
            "epochs": WHOLE,
            "verbose": Kind([st.integers(0, 2)], [-1, 3, 1.5, NAN, "1", [1], 1j]),
            "run_dir": PATH,
            "resume": FLAG,
            "checkpoint_every": sizes(),
        },
    ),
    "fit": (
        lambda **arguments: windowed().fit(**arguments),
        {"x": X, "y": X},
        {
            "x": NO_DATA,
            "y": NO_DATA,
            "batch_size": sizes(optional=True),
            "sample_weight": WEIGHTS,
            "validation_split": RATE,
            "run_dir": PATH,
            "resume": FLAG,
            "checkpoint_every": sizes(),
        },
    ),
}
MAY_BE_NONE = {
    "validation_split",
    "receipt",
    "log_dir",
    "run_dir",
    "validation_data",
    "sample_weight",
    "keep",
    "target",
}
SYNONYMS = {
    "inputs": "batch",
    "targets": "batch",
    "x": "inputs",
    "y": "targets",
    "data": "data",
    "validation_data": "data",
}


@st.composite
def refused_calls(draw):
    """A function and its arguments, one of which is mad, and its name."""
    function, arguments, kinds = REFUSING[draw(st.sampled_from(sorted(REFUSING)))]
    mad = draw(st.sampled_from(sorted(kinds)))
    known = st.sampled_from(kinds[mad].mad)
    value = draw(known.filter(lambda v: v is not None) if mad in MAY_BE_NONE else known)
    return function, {**arguments, mad: value}, mad


@bounded
@given(refused_calls())
def test_a_call_on_data_names_what_is_wrong(call):
    function, arguments, mad = call
    made_once = (built, built_seq2seq, windowed)
    arguments = {
        k: v() if any(v is one for one in made_once) else v for k, v in arguments.items()
    }
    try:
        function(**arguments)
    except (ValueError, TypeError) as error:
        message = str(error)
        assert message.strip().count("\n") < 2, message
        named = _names(message, mad, arguments[mad]) or SYNONYMS.get(mad, mad) in message
        assert named, f"{mad}={arguments[mad]!r}: {message}"
    else:
        raise AssertionError(f"{mad}={arguments[mad]!r} was taken")


def test_every_public_name_is_called_or_is_a_result():
    results = {"AttentionWeights", "ExposureBias", "Forecast", "GradientFlowReport"}
    results |= {"Hypothesis", "StateJacobian"}
    of_authors = {"Equations", "RecurrentCell"}  # for those who write a cell
    called = {name.split()[0] for name in [*CALLS, *REFUSING]}
    assert called - {"compile", "fit"} == set(kerasrnn.__all__) - results - of_authors

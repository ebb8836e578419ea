"""What every recurrent layer must do, beside a layer of Keras with the same weights.

`RecurrentLayerTests` holds the tests, and `tests/layers/test_conformance.py` the list of
layers. What only one layer does is tested in a file of its own.
"""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

import kerasrnn
from kerasrnn.serving import conversion
from tests.paired_layers import (
    BATCH,
    FEATURES,
    MASKS,
    MIDDLE,
    TIME,
    TOLERANCES,
    UNITS,
    X,
    assert_close,
    assert_differ,
    differentiate,
    loss_of,
    spec_of,
    states_for,
)
from tests.plain_ops import assert_plain
from tests.seeds import set_seed

OPTIONS_OF_LAYERS = {
    "return_sequences",
    "return_state",
    "go_backwards",
    "stateful",
    "unroll",
    "zero_output_for_mask",
}
CHANGED = {
    "use_bias": False,
    "dropout": 0.25,
    "recurrent_dropout": 0.125,
    "seed": 7,
    "kernel_initializer": "ones",
    "recurrent_regularizer": keras.regularizers.L2(0.5),
    "bias_constraint": "non_neg",
    **dict.fromkeys(OPTIONS_OF_LAYERS - {"unroll"}, True),
}


def around(cell_class):
    """Makes `kerasrnn.RNN` around a cell of this class, from the arguments of both."""

    def make(units, dtype=None, **options):
        of_layer = {name: options.pop(name) for name in options.keys() & OPTIONS_OF_LAYERS}
        cell = cell_class(units, dtype=dtype, **options)
        return kerasrnn.RNN(cell, dtype=dtype, **of_layer)

    return make


def penalty_gradients(layer):
    """The gradients of a sum of squared gradients, for weights, inputs and initial states."""
    x, states = tf.cast(X, tf.float64), states_for(layer, "float64")
    sources = [[v.value for v in layer.trainable_variables], x, states]
    with tf.GradientTape() as outer:
        outer.watch(sources)
        first = differentiate(layer, x, MIDDLE, states)[1 + len(states) :]
        penalty = tf.add_n([tf.reduce_sum(g**2) for g in first])
    return outer.gradient(penalty, sources)


class RecurrentLayerTests:
    """A subclass has the fixture `factories`: a layer's class, and that of its reference.

    Either may be any function that takes `units` and the keyword arguments of a layer.
    """

    @pytest.fixture(scope="class")
    @classmethod
    def make_pair(cls, factories):
        """From options to the layer and its reference, built, with the same weights."""

        def make_pair(units=UNITS, features=FEATURES, wrap=lambda layer: layer, **options):
            pair = [wrap(make(units, **options)) for make in factories]
            for layer in pair:
                layer.build((BATCH if options.get("stateful") else None, None, features))
            layer, reference = pair
            rng = np.random.default_rng(1)
            weights = [rng.normal(scale=0.4, size=w.shape) for w in reference.get_weights()]
            reference.set_weights(weights)
            layer.set_weights(weights)
            return layer, reference

        return make_pair

    # Shapes, weights, configuration, files

    @pytest.mark.parametrize(
        ("shape", "return_sequences"),
        [((1, 1, 1), True), ((2, 1, 3), False), ((1, 10, 2), True)],
        ids=str,
    )
    def test_outputs_have_the_shapes_and_numbers_of_the_reference(
        self, make_pair, shape, return_sequences
    ):
        layer, reference = make_pair(
            features=shape[-1], return_sequences=return_sequences, return_state=True
        )
        x = tf.constant(np.random.default_rng(0).normal(size=shape), tf.float32)
        numbers = differentiate(layer, x)
        assert_close(numbers, differentiate(reference, x))
        symbolic = keras.Input((None, shape[-1]))
        outputs = layer(symbolic), reference(symbolic)
        assert len(outputs[0]) == len(outputs[1])
        for found, expected, actual in zip(*outputs, numbers, strict=False):
            assert found.shape == expected.shape
            assert found.dtype == expected.dtype == actual.dtype.name
            assert tf.TensorShape(found.shape).is_compatible_with(actual.shape)
        assert layer.compute_output_shape(shape) == reference.compute_output_shape(shape)

    def test_weights_are_those_of_the_reference_and_go_both_ways(self, factories):
        layer, reference = (make(UNITS) for make in factories)
        expected = reference(X)
        layer.build(X.shape)
        assert [w.name for w in layer.weights] == [w.name for w in reference.weights]
        assert [w.shape for w in layer.weights] == [w.shape for w in reference.weights]
        assert layer.count_params() == reference.count_params()
        assert_differ(layer(X), expected)
        own, weights = layer(X), layer.get_weights()
        layer.set_weights(reference.get_weights())
        assert_close(layer(X), expected)
        reference.set_weights(weights)
        assert_close(reference(X), own)

    def test_a_copy_from_the_configuration_is_the_same_layer(self, factories):
        make, make_reference = factories
        layer = make(UNITS, **CHANGED)
        config = keras.saving.serialize_keras_object(layer)
        assert config["registered_name"].startswith("kerasrnn>")
        copy = keras.saving.deserialize_keras_object(json.loads(json.dumps(config)))
        assert type(copy) is type(layer)
        assert copy.get_config() == layer.get_config()
        assert copy.get_config() != make(UNITS).get_config()
        expected = make_reference(UNITS, **CHANGED).get_config()
        found = layer.get_config()
        found = {**found.get("cell", {}).get("config", {}), **found}
        for name in CHANGED.keys() & expected.keys():
            assert found[name] == expected[name], name
        for one in (layer, copy):
            one.build(X.shape)
        copy.set_weights(layer.get_weights())
        assert_close(copy(X, training=True), layer(X, training=True))

    def test_a_saved_model_and_saved_weights_come_back(self, factories, tmp_path):
        def make_model():
            x = keras.Input((None, FEATURES))
            h = keras.layers.Masking(0.0)(x)
            h = keras.layers.Bidirectional(make(UNITS, return_sequences=True, dropout=0.5))(h)
            return keras.Model(x, make(UNITS, go_backwards=True, return_state=True)(h))

        make, _ = factories
        model = make_model()
        x = tf.where(MIDDLE[..., None], X, 0)
        expected = model(x)
        model.save(tmp_path / "model.keras")
        loaded = keras.saving.load_model(tmp_path / "model.keras")
        assert_close(loaded(x), expected)
        assert type(loaded.layers[-1]) is type(model.layers[-1])
        model.save_weights(tmp_path / "model.weights.h5")
        other = make_model()
        assert_differ(other(x), expected)
        other.load_weights(tmp_path / "model.weights.h5")
        assert_close(other(x), expected)

    # What a call takes and gives

    # Each mask with and without each option, and each two options together.
    @pytest.mark.parametrize(
        ("mask", "with_states", "zero_output_for_mask", "return_sequences"),
        [
            ("start", False, False, True),
            ("end", True, True, True),
            ("middle", True, False, True),
            ("whole sequence", False, True, False),
            ("whole batch", True, False, False),
            pytest.param("start", True, True, False, marks=pytest.mark.slow),
            pytest.param("end", False, False, False, marks=pytest.mark.slow),
            pytest.param("middle", False, True, False, marks=pytest.mark.slow),
            pytest.param("whole sequence", True, False, True, marks=pytest.mark.slow),
            pytest.param("whole batch", False, True, True, marks=pytest.mark.slow),
        ],
    )
    def test_masked_steps_are_skipped(
        self, make_pair, mask, with_states, zero_output_for_mask, return_sequences
    ):
        mask = MASKS[mask]
        layer, reference = make_pair(
            return_state=True,
            return_sequences=return_sequences,
            zero_output_for_mask=zero_output_for_mask,
        )
        states = states_for(layer) if with_states else None
        found = differentiate(layer, X, mask, states)
        assert_close(found, differentiate(reference, X, mask, states))
        # Nothing that a masked step reads has an effect.
        other = tf.where(mask[..., None], X, 100.0)
        outputs = layer(other, mask=mask, initial_state=states, training=True)
        assert_close(outputs, found[: len(outputs)])

    def test_each_unit_may_have_a_mask(self, make_pair):
        layer, reference = make_pair(return_state=True, return_sequences=True)
        mask = tf.constant(np.random.default_rng(0).random((BATCH, TIME, UNITS)) < 0.6)
        arguments = X, mask, states_for(layer)
        assert_close(differentiate(layer, *arguments), differentiate(reference, *arguments))

    @pytest.mark.parametrize("return_sequences", [False, True])
    def test_the_mask_goes_on_where_there_are_steps(self, factories, return_sequences):
        options = {"return_sequences": return_sequences, "return_state": True}
        for make in factories:
            layer = make(UNITS, **options)
            passed = tf.nest.flatten(layer.compute_mask(X, MIDDLE))
            assert (passed[0] is MIDDLE) == return_sequences
            assert not any(mask is not None for mask in passed[1:])

    def test_states_go_in_and_come_out(self, make_pair):
        layer, reference = make_pair(return_sequences=True, return_state=True)
        states = states_for(layer)
        expected = differentiate(reference, states=states)
        assert_close(differentiate(layer, states=states), expected)
        whole, *last = layer(X, initial_state=states)
        first, *between = layer(X[:, :3], initial_state=states)
        second, *found = layer(X[:, 3:], initial_state=between)
        assert_close([tf.concat([first, second], 1), *found], [whole, *last])
        inputs = [keras.Input((TIME, FEATURES)), *(keras.Input((UNITS,)) for _ in states)]
        model = keras.Model(inputs, layer(inputs[0], initial_state=inputs[1:]))
        assert_close(model([X, *states]), [whole, *last])

    def test_stateful_layers_carry_their_states_on(self, make_pair):
        layer, reference = make_pair(stateful=True, return_sequences=True)
        plain, _ = make_pair(return_sequences=True)
        found = [layer(X[:, :3]), layer(X[:, 3:])]
        assert_close(found, [reference(X[:, :3]), reference(X[:, 3:])])
        assert_close(tf.concat(found, 1), plain(X))
        for one in (layer, reference):
            one.reset_state()
        assert_close(layer(X), plain(X))
        assert_close(reference(X), plain(X))
        with pytest.raises(ValueError, match="batch size"):
            layer(X[:2])

    @pytest.mark.parametrize(
        "return_sequences", [True, pytest.param(False, marks=pytest.mark.slow)]
    )
    def test_backwards_is_forwards_over_the_reversed_sequence(
        self, make_pair, return_sequences
    ):
        options = {"return_sequences": return_sequences, "return_state": True}
        layer, reference = make_pair(go_backwards=True, **options)
        forwards, _ = make_pair(**options)
        states = states_for(layer)
        expected = differentiate(reference, X, MIDDLE, states)
        assert_close(differentiate(layer, X, MIDDLE, states), expected)
        assert_close(
            layer(X, mask=MIDDLE, initial_state=states),
            forwards(X[:, ::-1], mask=MIDDLE[:, ::-1], initial_state=states),
        )

    @pytest.mark.parametrize(
        "merge_mode", ["sum", pytest.param("concat", marks=pytest.mark.slow)]
    )
    def test_bidirectional_works_as_around_the_reference(self, make_pair, merge_mode):
        def both_ways(layer):
            return keras.layers.Bidirectional(layer, merge_mode=merge_mode)

        layer, reference = make_pair(
            wrap=both_ways, return_sequences=merge_mode == "sum", return_state=True
        )
        assert type(layer.backward_layer) is type(layer.forward_layer)
        states = states_for(layer.forward_layer)
        states += [-state for state in states]
        expected = differentiate(reference, X, MIDDLE, states)
        assert_close(differentiate(layer, X, MIDDLE, states), expected)

    def test_sequences_without_a_step_are_refused(self, factories):
        layer = factories[0](UNITS)
        for call in (layer, tf.function(layer, autograph=False)):
            with pytest.raises(ValueError, match="one time step or more"):
                call(X[:, :0])

    def test_a_batch_may_be_empty(self, make_pair):
        layer, _ = make_pair(return_sequences=True, return_state=True)
        states = [state[:0] for state in states_for(layer)]
        shapes = [(0, TIME, UNITS), *(state.shape for state in states)]
        in_graph = tf.function(
            lambda x, mask: layer(x, mask=mask), [spec_of(X), spec_of(MIDDLE)], autograph=False
        )
        assert [output.shape for output in in_graph(X[:0], MIDDLE[:0])] == shapes
        try:
            found = differentiate(layer, X[:0], MIDDLE[:0], states)
        except tf.errors.InvalidArgumentError as error:
            if "LSTMCell.call()" in str(error):
                pytest.xfail("eager calls of Keras' LSTMCell refuse an empty batch")
            raise
        shapes += [*(weight.shape for weight in layer.weights), (0, TIME, FEATURES)]
        assert [tensor.shape for tensor in found[: len(shapes)]] == shapes
        assert not any(np.any(tensor) for tensor in found)

    # Numbers: everywhere the same

    @pytest.fixture(scope="class")
    @classmethod
    def of_reference(cls, make_pair):
        """A layer, what it is called with, and what its reference makes of that."""
        layer, reference = make_pair(return_sequences=True, return_state=True)
        arguments = X, MIDDLE, states_for(layer)
        return layer, arguments, differentiate(reference, *arguments)

    @pytest.mark.parametrize(
        ("mode", "training"),
        [
            ("eager", False),
            ("graph", True),
            pytest.param("graph", False, marks=pytest.mark.slow),
            pytest.param("xla", True, marks=pytest.mark.slow),
        ],
    )
    def test_each_way_to_run_gives_the_numbers_of_the_reference(
        self, of_reference, mode, training
    ):
        layer, arguments, expected = of_reference
        assert_close(differentiate(layer, *arguments, training, mode), expected)

    @pytest.mark.parametrize(
        "policy",
        [
            "mixed_float16",
            pytest.param("mixed_bfloat16", marks=pytest.mark.slow),
            pytest.param("float64", marks=pytest.mark.slow),
        ],
    )
    def test_policies_work_as_in_the_reference(self, make_pair, policy):
        kinds = keras.DTypePolicy(policy)
        layer, reference = make_pair(return_sequences=True, return_state=True, dtype=policy)
        arguments = tf.cast(X, kinds.compute_dtype), MIDDLE
        expected = differentiate(reference, *arguments)
        found = differentiate(layer, *arguments)
        assert_close(found, expected, TOLERANCES[kinds.compute_dtype])
        assert all(output.dtype == kinds.compute_dtype for output in layer(X))
        assert {weight.dtype for weight in layer.weights} == {kinds.variable_dtype}

    def test_gradients_are_finite_differences(self, make_pair, rng):
        layer, _ = make_pair(return_sequences=True, return_state=True, dtype="float64")
        x, states = tf.cast(X, tf.float64), states_for(layer, "float64")
        gradients = differentiate(layer, x, MIDDLE, states)[1 + len(states) :]
        values = [*map(tf.constant, layer.get_weights()), x, *states]

        @tf.function(autograph=False)
        def loss_at(values):
            for weight, value in zip(layer.weights, values, strict=False):
                weight.assign(value)
            x, *states = values[len(layer.weights) :]
            return loss_of(layer(x, mask=MIDDLE, initial_state=states, training=False))

        for k, gradient in enumerate(gradients):
            for _ in range(3):
                direction = rng.normal(size=values[k].shape)
                ahead, behind = (
                    loss_at([*values[:k], values[k] + step * direction, *values[k + 1 :]])
                    for step in (1e-5, -1e-5)
                )
                slope = np.sum(gradient * direction)
                np.testing.assert_allclose((ahead - behind) / 2e-5, slope, rtol=1e-6, atol=1e-7)

    @pytest.fixture(scope="class")
    @classmethod
    def twice_differentiated(cls, make_pair):
        """A layer, and the gradients of its reference's gradients."""
        layer, reference = make_pair(return_state=True, dtype="float64")
        return layer, penalty_gradients(reference)

    @pytest.mark.parametrize("mode", ["eager", pytest.param("graph", marks=pytest.mark.slow)])
    def test_gradients_of_gradients_are_those_of_the_reference(
        self, twice_differentiated, mode
    ):
        layer, expected = twice_differentiated
        compute = penalty_gradients
        if mode == "graph":
            compute = tf.function(compute, autograph=False)
        assert_close(compute(layer), expected)

    # Dropout

    def test_dropout_draws_the_masks_of_the_reference(self, make_pair):
        options = {"dropout": 0.4, "recurrent_dropout": 0.3, "seed": 7}
        layer, reference = make_pair(return_sequences=True, **options)
        arguments = X, MIDDLE, states_for(layer)
        first = differentiate(reference, *arguments)
        assert_close(differentiate(layer, *arguments), first)
        assert_differ(layer(X, training=True), first[0])
        twin, _ = make_pair(return_sequences=True, **options)
        in_graph = tf.function(
            lambda x, mask: twin(x, mask=mask, initial_state=arguments[2], training=True),
            [spec_of(X), spec_of(MIDDLE)],
            autograph=False,
        )
        assert_close(in_graph(X, MIDDLE), first[0])

    def test_dropout_is_off_in_inference(self, make_pair):
        layer, _ = make_pair(dropout=0.4, recurrent_dropout=0.3, seed=7)
        _, reference = make_pair()
        expected = reference(X)
        for options in ({}, {"training": False}, {}):
            assert_close(layer(X, **options), expected)

    def test_dropout_has_its_rate_and_one_mask_a_sequence(self, make_pair):
        # What was dropped has no gradient: features of inputs; rows of W_h, at each gate.
        rate, size, time = 0.25, 256, 3
        x = tf.constant(np.random.default_rng(0).normal(size=(1, time, size)), tf.float32)
        for name in ("dropout", "recurrent_dropout"):
            layer, _ = make_pair(size, size, seed=1, return_sequences=True, **{name: rate})
            row = [weight.name for weight in layer.weights].index("recurrent_kernel")
            _, *gradients = differentiate(layer, x)
            of_steps = gradients[-1].numpy()[0] == 0
            of_units = np.all(gradients[row].numpy().reshape(size, -1, size) == 0, 2)
            dropped = of_steps[0] if name == "dropout" else of_units
            np.testing.assert_array_equal(of_steps, of_steps[:1].repeat(time, 0))
            deviation = np.sqrt(rate * (1 - rate) / size)
            assert abs(np.mean(dropped) - rate) < 4 * deviation, name

    # Serving

    @pytest.fixture(scope="class")
    @classmethod
    def exported(cls, factories, tmp_path_factory):
        """A model with a mask and dropout, its folder, and what is loaded from there."""
        make, _ = factories
        set_seed(0)
        model = keras.Sequential(
            [
                keras.Input((None, FEATURES), name="inputs"),
                keras.layers.Masking(0.0),
                make(UNITS, return_sequences=True, dropout=0.5, recurrent_dropout=0.5),
            ]
        )
        folder = kerasrnn.export(model, tmp_path_factory.mktemp("models"))
        return model, folder, tf.saved_model.load(str(folder))

    def test_an_exported_model_holds_plain_ops_and_answers_as_before(self, exported):
        model, folder, loaded = exported
        assert_plain(folder)
        for x in (tf.where(MIDDLE[..., None], X, 0), X[:1, :2]):
            (found,) = loaded.signatures["serving_default"](inputs=x).values()
            assert_close(found, model(x))

    @pytest.mark.slow
    def test_onnx_answers_as_the_layer(self, exported):
        pytest.importorskip("tf2onnx")
        pytest.importorskip("onnxruntime")
        model, _, loaded = exported
        name = "serving_default"
        _, answer = conversion.FORMATS["onnx"](loaded.signatures[name], name)
        for x in (tf.where(MIDDLE[..., None], X, 0), X[:1, :2]):
            (found,) = answer({"inputs": x.numpy()}).values()
            np.testing.assert_allclose(found, model(x), atol=1e-5)

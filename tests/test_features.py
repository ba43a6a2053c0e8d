"""The data: exact bits against an oracle in Python ints, and the distribution against the paper's."""

from __future__ import annotations

import itertools
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minitms as tms
from minitms import draws as module
from minitms.draws import BLOCK
from minitms.features import RARE

DTYPES = ["float32", "float64"]


# ------------------------------------------------------------------------------- the oracle: no NumPy, no shared code


def splitmix64(state):
    """The published generator, in Python ints: an endless stream of 64-bit words."""
    while True:
        state = (state + 0x9E3779B97F4A7C15) % 2**64
        z = state
        z = ((z ^ (z // 2**30)) * 0xBF58476D1CE4E5B9) % 2**64
        z = ((z ^ (z // 2**27)) * 0x94D049BB133111EB) % 2**64
        yield z ^ (z // 2**31)


def nth_word(state, index):
    """Word `index` of the generator started at `state`: its state moves by one constant a word."""
    return next(splitmix64((state + index * 0x9E3779B97F4A7C15) % 2**64))


def batch_words(key):
    """The words of a batch, in Python ints: an endless stream of 32-bit words."""
    return (word_of(key, c) for c in itertools.count(1))


def word_of(key, c):
    """Word c of a batch: two rounds of shift and multiply."""
    high, low = divmod(key, 2**32)
    z = (low + c * (high | 1)) % 2**32
    z = ((z ^ (z // 2**16)) * 0x7FEB352D) % 2**32 ^ high
    z = ((z ^ (z // 2**15)) * 0x846CA68B) % 2**32
    return z ^ (z // 2**16)


def oracle_key(seed, stream, model, step):
    key = seed
    for coordinate in (stream, model, step):
        # One level of the key: the generator's output function at key + coordinate · γ, one γ before a word.
        key = nth_word(key - 0x9E3779B97F4A7C15, coordinate)
    return key


def oracle_uniforms(seed, stream, model, step, batch_size, n, dtype):
    """The uniforms of one batch as a list of rows of exact Python floats."""
    words = batch_words(oracle_key(seed, stream, model, step))
    if dtype == "float32":
        return [[next(words) // 2**8 / 2**24 for _ in range(n)] for _ in range(batch_size)]
    return [[(next(words) // 2**5 * 2**26 + next(words) // 2**6) / 2**53 for _ in range(n)] for _ in range(batch_size)]


def oracle_gaps(seed, model, batch_size, column, columns, probability):
    """The examples in which a rare feature is on, from the lengths of its gaps, in exact fractions."""
    key, places = nth_word(oracle_key(seed, module.TRAINING, model, 0), 0), set()
    off = 1 - Fraction(probability)
    for block in range(-(-batch_size // BLOCK)):
        place, c = -1, block * BLOCK * columns + column + 1
        while place < BLOCK:
            word, gap = word_of(key, c % 2**32), 0
            while gap < BLOCK and word < round(2**32 * off ** (gap + 1)):
                gap += 1
            place, c = place + 1 + gap, c + columns
            if place < BLOCK:
                places.add(block * BLOCK + place)
    return sorted(place for place in places if place < batch_size)


def test_the_oracle_gives_the_published_words():
    words = splitmix64(1234567)
    assert [next(words) for _ in range(3)] == [6457827717110365317, 3203168211198807973, 9817491932198370423]


def test_without_the_high_half_of_the_key_the_words_are_those_of_the_published_hash():
    """Wellons's lowbias32 of 1, 2 and 3, computed in C."""
    c = np.array([1, 2, 3], np.uint32)
    assert module.words(np.uint64(0), c).tolist() == [1753845952, 3507691905, 1408362973]


@given(
    seed=st.integers(0, 2**63 - 1),
    stream=st.sampled_from([module.TRAINING, module.HELD_OUT, module.INITIAL]),
    model=st.integers(0, 2**40),
    step=st.integers(0, 2**40),
    batch_size=st.integers(1, 5),
    n=st.integers(1, 7),
    dtype=st.sampled_from(DTYPES),
)
def test_uniforms_are_the_oracle_s_bits(seed, stream, model, step, batch_size, n, dtype):
    u = module.uniforms(module.batch_key(seed, stream, np.array(model), step), batch_size, n, dtype)
    assert u.dtype == dtype
    assert u.tolist() == oracle_uniforms(seed, stream, model, step, batch_size, n, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_sample_is_u_over_density_where_u_is_below_it(dtype):
    density = np.array([[0.3, 1.0, 0.11, 0.5, RARE], [0.9, 0.2, 0.7, 1.0, 0.07]])
    x = tms.SparseFeatures(n=5, density=density).sample(300, seed=11, dtype=dtype)
    assert x.dtype == dtype
    for model in range(2):
        u = np.array(oracle_uniforms(11, module.TRAINING, model, 0, 300, 5, dtype))
        p = density[model].astype(dtype).astype(float)
        expected = np.where(u < p, np.divide(u, p, out=np.zeros_like(u), where=p > 0), 0)
        # One rounding of the reciprocal (downwards where it must be), one of the product.
        np.testing.assert_allclose(x[model], expected, rtol=2 * np.finfo(dtype).eps, atol=0)
        assert ((x[model] == 0) == (expected == 0)).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_rare_feature_is_on_after_its_gaps_and_its_own_u_is_its_value(dtype):
    density = np.array([[0.3, 0.015, 0.0], [1e-3, 0.012, 1e-9]])
    x = tms.SparseFeatures(n=3, density=density).sample(700, seed=11, dtype=dtype)
    for model, column in ((0, 1), (0, 2), (1, 0), (1, 1), (1, 2)):
        u = np.array(oracle_uniforms(11, module.TRAINING, model, 0, 700, 3, dtype))[:, column]
        on = oracle_gaps(11, model, 700, column, 3, density[model, column])
        assert np.flatnonzero(x[model, :, column]).tolist() == on
        assert x[model, on, column].tolist() == u[on].tolist()
        assert abs(len(on) - 700 * density[model, column]) <= 5 * np.sqrt(700 * density[model, column]) + 1


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("pattern", ["together", "at_most_one"])
def test_a_set_has_a_u_of_its_own_that_decides_for_all_of_its_features(dtype, pattern):
    """The u of the sets stand behind those of the features; signed values are 2 u - 1."""
    density, sets = np.array([0.25, 0.5, 0.25, 0.5]), [7, -1, 7, -1]
    x = tms.SparseFeatures(4, density, sets=sets, pattern=pattern, signed=True).sample(200, seed=11, dtype=dtype)
    u = np.array(oracle_uniforms(11, module.TRAINING, 0, 0, 200, 6, dtype))
    decider = u[:, [5, 4, 5, 4]]
    low = np.array([0, 0, 0.25, 0.5]) if pattern == "at_most_one" else np.zeros(4)
    on = (low <= decider) & (decider < low + density)
    assert x.tolist() == np.where(on, 2 * u[:, :4] - 1, 0).tolist()


def test_the_streams_do_not_repeat_each_other():
    """Were the coordinates merely added, (model 1, step 0) would be (model 0, step 1)."""
    batches = [
        module.uniforms(module.batch_key(seed, stream, np.array(model), step), 4, 3, "float64").tobytes()
        for seed in (0, 1, 2)
        for stream in (module.TRAINING, module.HELD_OUT, module.INITIAL)
        for model in range(4)
        for step in range(4)
    ]
    assert len(set(batches)) == len(batches)


# ------------------------------------------------------------------------------------------------ the distribution

# Five standard deviations: a right sampler misses by chance in fewer than 1 of 10^6 seeds, and the seeds are fixed.
SIGMAS = 5


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("density", [0.001, 0.1, 0.5, 0.9, 1.0])
def test_marginals(density, dtype):
    batch = 40_000
    x = tms.SparseFeatures(n=5, density=density).sample(batch, seed=1, dtype=dtype).astype(float)
    on = (x > 0).sum(axis=0)
    assert (abs(on - batch * density) <= SIGMAS * np.sqrt(batch * density * (1 - density)) + 1).all()
    values = x[x > 0]
    assert abs(values.mean() - 1 / 2) <= SIGMAS / np.sqrt(12 * values.size)
    assert abs((values**2).mean() - 1 / 3) <= SIGMAS * np.sqrt(4 / 45 / values.size)


@pytest.mark.parametrize("dtype", DTYPES)
def test_values_are_uniform(dtype):
    """Kolmogorov and Smirnov: the largest gap to the straight line stays below the 1e-6 quantile, 2.69 / √N."""
    x = tms.SparseFeatures(n=4, density=0.3).sample(60_000, seed=2, dtype=dtype).astype(float)
    values = np.sort(x[x > 0])
    gap = abs((np.arange(values.size) + 0.5) / values.size - values).max()
    assert gap * np.sqrt(values.size) < 2.69


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("density", [0.02, 0.3, 0.8])
def test_no_two_features_share_a_draw(density, dtype):
    """P(x_j > 0 | x_i > 0) = s for every pair. With one mask for all features of an example it would be 1."""
    n = 5
    x = tms.SparseFeatures(n=n, density=density).sample(100_000, seed=3, dtype=dtype)
    on = x > 0
    for i in range(n):
        for j in range(n):
            if i != j:
                given_i = on[on[:, i], j]
                bound = SIGMAS * np.sqrt(density * (1 - density) / given_i.size)
                assert abs(given_i.mean() - density) <= bound, f"P(x{j} > 0 | x{i} > 0) = {given_i.mean():.4f}"


def test_no_two_examples_and_no_two_models_share_a_draw():
    x = tms.SparseFeatures(n=3, density=np.full((3, 1), 0.3)).sample(50_000, seed=4)
    on = x > 0
    bound = SIGMAS * np.sqrt(0.3 * 0.7 / (0.3 * 50_000))
    assert abs(on[:, 1:][on[:, :-1]].mean() - 0.3) <= bound  # the example before
    assert abs(on[1][on[0]].mean() - 0.3) <= bound
    assert abs(on[2][on[1]].mean() - 0.3) <= bound


def test_values_do_not_correlate():
    x = tms.SparseFeatures(n=6, density=1.0).sample(50_000, seed=5, dtype="float32").astype(float)
    correlation = np.corrcoef(x.T)
    assert abs(correlation - np.eye(6)).max() <= SIGMAS / np.sqrt(50_000)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("density", [0.0, 0.02, 0.3, 0.8, 1.0])
def test_features_that_are_on_together(density, dtype):
    """One bit an example, not one a batch and not one a feature; the values are uniform and do not correlate."""
    batch = 40_000
    features = tms.SparseFeatures(n=3, density=np.full((2, 1), density), pattern="together")
    x = features.sample(batch, seed=7, dtype=dtype)
    assert (x.shape, x.dtype) == ((2, batch, 3), dtype)
    on = x > 0
    assert (on == on[..., :1]).all()
    on = on[..., 0]
    chance = density * (1 - density)
    assert (abs(on.mean(axis=-1) - density) <= SIGMAS * np.sqrt(chance / batch)).all()
    assert abs((on[0] & on[1]).mean() - density**2) <= SIGMAS * np.sqrt(density**2 * (1 - density**2) / batch)
    assert abs((on[0, 1:] & on[0, :-1]).mean() - density**2) <= 2 * SIGMAS * np.sqrt(density**2 / batch * (1 - density))
    values = x[0][on[0]].astype(float)
    if len(values):
        assert (abs(values.mean(axis=0) - 1 / 2) <= SIGMAS / np.sqrt(12 * len(values))).all()
        assert (abs((values**2).mean(axis=0) - 1 / 3) <= SIGMAS * np.sqrt(4 / 45 / len(values))).all()
        assert abs(np.corrcoef(values.T) - np.eye(3)).max() <= SIGMAS / np.sqrt(len(values))


@pytest.mark.parametrize("activation", ["linear", "relu"])
def test_the_exact_loss_of_features_that_are_on_together(activation):
    W, b, importance = np.array([[0.9, -0.6]]), np.array([0.1, -0.2]), np.array([1, 2.5])
    x = tms.SparseFeatures(2, 0.4, importance, pattern="together").sample(200_000, seed=8)
    losses = (importance * (tms.forward(W, b, x, activation) - x) ** 2).sum(axis=-1)
    exact = tms.expected_loss(W, b, 0.4, importance, activation, pattern="together")
    assert abs(losses.mean() - exact) <= SIGMAS * losses.std() / np.sqrt(losses.size)


@pytest.mark.parametrize("dtype", DTYPES)
def test_density_zero_gives_zeros_and_density_one_gives_none_off(dtype):
    x = tms.SparseFeatures(n=2, density=[0.0, 1.0]).sample(10_000, seed=6, dtype=dtype)
    assert (x[:, 0] == 0).all()
    assert (x[:, 1] > 0).all()  # a u of exactly 0 has odds of 1 in 2^24


@given(density=st.floats(RARE, 1.0), dtype=st.sampled_from(DTYPES))
def test_the_largest_value_is_below_one(density, dtype):
    """The largest u below the density is where rounding could lift u / density to 1.0."""
    dtype = np.dtype(dtype).type
    spacing = dtype(2.0**-24 if dtype is np.float32 else 2.0**-53)
    law = tms.SparseFeatures(1, density).law(dtype)
    largest = (np.ceil(law.high[0] / spacing) - 1) * spacing
    assert law.low[0] <= largest < law.high[0] == dtype(density)
    assert 1 - 2 * spacing / density - 4 * spacing <= law.scale[0] * largest < 1


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_density_too_small_to_have_a_reciprocal_gives_zeros(dtype):
    assert (tms.SparseFeatures(2, [5e-324, 1e-310]).sample(1000, seed=0, dtype=dtype) == 0).all()


# -------------------------------------------------------------------------------------------------- shapes and seeds


def test_a_seed_gives_the_same_sample_and_another_gives_another():
    features = tms.SparseFeatures(n=3, density=0.5)
    assert (features.sample(8, seed=7) == features.sample(8, seed=7)).all()
    assert not (features.sample(8, seed=7) == features.sample(8, seed=8)).all()
    assert not (features.sample(64) == features.sample(64)).all()  # None draws a seed


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [3, 4])
def test_a_longer_batch_begins_with_the_shorter_one(n, dtype):
    features = tms.SparseFeatures(n=n, density=0.5)
    assert (features.sample(50, seed=8, dtype=dtype)[:20] == features.sample(20, seed=8, dtype=dtype)).all()


@pytest.mark.parametrize(
    ("density", "importance", "stack"),
    [
        (0.1, 1.0, ()),
        (np.full(4, 0.1), 0.9 ** np.arange(4), ()),
        (np.full((3, 1), 0.1), 1.0, (3,)),
        (0.1, np.ones((3, 4)), (3,)),
        (np.full((3, 1, 1), 0.1), np.ones((2, 4)), (3, 2)),
        (np.float32(0.5), 1, ()),
        (1, True, ()),
    ],
)
def test_shapes(density, importance, stack):
    features = tms.SparseFeatures(n=4, density=density, importance=importance)
    assert features.stack == stack
    assert features.density.shape == features.importance.shape == (*stack, 4)
    assert features.density.dtype == features.importance.dtype == np.float64
    assert (features.density == np.broadcast_to(density, (*stack, 4))).all()
    assert (features.importance == np.broadcast_to(importance, (*stack, 4))).all()
    assert features.sample(6, seed=0).shape == (*stack, 6, 4)


def test_the_caller_s_arrays_are_not_shared():
    density = np.full(3, 0.25)
    features = tms.SparseFeatures(n=3, density=density)
    density[:] = 1
    assert (features.density == 0.25).all()


# ------------------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"density": -0.1}, ValueError, r"density holds -0\.1; expected every value in \[0, 1\]"),
        ({"density": 1.1}, ValueError, r"density holds 1\.1; expected every value in \[0, 1\]"),
        ({"density": [0.1, np.nan, 0.1]}, ValueError, "density holds nan at index"),
        ({"density": np.inf}, ValueError, "density holds inf"),
        ({"density": "0.1"}, TypeError, "density has dtype"),
        ({"density": None}, TypeError, "density has dtype object"),
        ({"density": 0.1j}, TypeError, "density has dtype complex128"),
        ({"density": [0.1, 0.2]}, ValueError, r"density has shape \(2,\).*density\[:, None\]"),
        ({"density": [0.1]}, ValueError, r"density has shape \(1,\)"),
        ({"density": np.zeros((0, 3))}, ValueError, "stack of no models"),
        ({"density": np.zeros((2, 4))}, ValueError, r"density has shape \(2, 4\)"),
        ({"importance": -1.0}, ValueError, "importance holds -1; expected every value at least 0"),
        ({"importance": np.nan}, ValueError, "importance holds nan"),
        ({"importance": [1, 2, 3, 4]}, ValueError, r"importance has shape \(4,\).*importance\[:, None\]"),
        ({"density": np.ones((2, 3)), "importance": np.ones((4, 3))}, ValueError, "do not broadcast"),
        ({"n": 0}, ValueError, "n is 0; expected at least 1"),
        ({"n": -3}, ValueError, "n is -3"),
        ({"n": 3.0}, TypeError, r"n is 3\.0 \(float\); expected a whole number"),
        ({"n": True}, TypeError, "n is True"),
        ({"n": 10**15}, ValueError, r"1,000,000,000,000,000 features need [\d,.]+ GiB"),
        ({"n": 10**30}, ValueError, "n is 1000000000000000000000000000000; expected at most"),
        ({"density": 1 + 1e-9}, ValueError, r"density holds 1\.000000001; expected"),
        ({"density": 0.5 + 1e-9, "n": 2, "pattern": "at_most_one"}, ValueError, r"add up to 1\.000000002; "),
        ({"density": 9e-6, "pattern": "together"}, ValueError, "density holds 9e-06; expected 0 or at least 1e-05"),
        ({"density": [0.5, 0, 1e-9], "pattern": "at_most_one"}, ValueError, "density holds 1e-09; .*'at_most_one'"),
        ({"signed": 1}, TypeError, "signed is 1; expected True or False"),
        ({"pattern": "exactly_one"}, ValueError, "pattern is 'exactly_one'; expected one of 'independent', 'together'"),
        ({"pattern": True}, ValueError, "pattern is True; expected one of"),
        ({"target": "x²"}, ValueError, "target is 'x²'; expected one of 'x', 'abs'"),
        ({"sets": [0, 0, 1]}, ValueError, 'sets are given, and pattern is "independent"'),
        *(({"sets": sets, "pattern": "together"}, ValueError, r"expected 3 whole numbers, the label of each feature's")
          for sets in ([0, 1], [0, 0, 1, 1], 0, [[0, 0, 1]], [0.0, 0.0, 1.0], [0, 0, np.nan], ["a", "a", "b"],
                       [True, True, False], [None, 0, 0], {0, 1, 2})),
        ({"sets": [[0], [0, 1], 2], "pattern": "together"}, ValueError, "sets is no array"),
        ({"sets": np.ma.masked_array([0, 0, 1]), "pattern": "together"}, TypeError, "sets is a masked array"),
        ({"density": [0.1, 0.1, 0.2], "pattern": "together"}, ValueError, r"density differs between .* of set 0"),
        ({"density": [0.2, 0.1, 0.3], "sets": [5, 2, 5], "pattern": "together"}, ValueError, "differs .* set 1"),
        ({"density": [[0.1], [0.4]], "pattern": "at_most_one"}, ValueError, r"of set 0 add up to 1\.2; .* at most 1"),
        ({"density": [0.9, 0.7, 0.4], "sets": [0, 1, 1], "pattern": "at_most_one"}, ValueError, "set 1 add up to 1.1"),
    ],
)
def test_bad_features(arguments, error, message):
    with pytest.raises(error, match=message):
        tms.SparseFeatures(**{"n": 3, "density": 0.1} | arguments)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"batch_size": 0}, ValueError, "batch_size is 0; expected at least 1"),
        ({"batch_size": 2.0}, TypeError, r"batch_size is 2\.0"),
        ({"seed": -1}, ValueError, "seed is -1"),
        ({"seed": 2**63}, ValueError, r"expected an int in \[0, 2\*\*63\)"),
        ({"seed": 0.5}, TypeError, r"seed is 0\.5"),
        ({"dtype": "float16"}, ValueError, "dtype is 'float16'; expected one of 'float32', 'float64'"),
        ({"dtype": "int64"}, ValueError, "dtype is 'int64'"),
    ],
)
def test_bad_sample(arguments, error, message):
    with pytest.raises(error, match=message):
        tms.SparseFeatures(n=3, density=0.1).sample(**{"batch_size": 4, "seed": 0} | arguments)


def test_a_sample_larger_than_any_memory_is_refused_before_any_work():
    models = np.full((10**4, 1), 0.1)
    with pytest.raises(ValueError, match=r"21,474,836,460,000 values need [\d,.]+ GiB, .* draw fewer examples"):
        tms.SparseFeatures(3, models).sample(2**31 // 3)


def test_the_largest_seed_is_allowed():
    assert tms.SparseFeatures(n=1, density=1.0).sample(1, seed=2**63 - 1).shape == (1, 1)


def test_densities_that_add_up_to_1_are_allowed_and_then_one_is_always_on():
    for density in ([0.1] * 10, [1 / 3] * 3, [0.7, 0.2, 0.1]):
        x = tms.SparseFeatures(len(density), density, pattern="at_most_one").sample(2000, seed=0)
        assert ((x > 0).sum(axis=-1) == 1).all()


# ------------------------------------------------------------------------------------------------- target, examples


@pytest.mark.parametrize("signed", [False, True])
def test_the_target_abs_is_allowed_whatever_the_sign(signed, recwarn):
    features = tms.SparseFeatures(3, 0.5, signed=signed, target="abs")
    x = features.sample(100, seed=0)
    assert (x < 0).any() == signed
    assert (features.targets(x) == abs(x)).all()
    assert features.mean_target().tolist() == [0.25] * 3
    assert not recwarn.list


@pytest.mark.parametrize(("signed", "target", "mean"), [(False, "x", 0.2), (True, "x", 0.0), (True, "abs", 0.2)])
def test_the_mean_of_the_target(signed, target, mean):
    features = tms.SparseFeatures(2, 0.4, signed=signed, target=target)
    sampled = features.targets(features.sample(200_000, seed=0)).mean(axis=0)
    assert (abs(features.mean_target() - mean) < 1e-12).all()
    assert (abs(sampled - mean) < 0.005).all()


def test_examples_are_kept_as_they_are():
    x, target = np.arange(24.0).reshape(2, 4, 3), np.ones((2, 4, 3), np.float32)
    examples = tms.Examples(x, [1, 2, 3], target)
    assert (examples.n, examples.count, examples.stack) == (3, 4, (2,))
    assert (examples.x == x).all()
    assert (examples.target == target).all()
    assert examples.importance.tolist() == [[1, 2, 3]] * 2
    assert examples.mean_target().tolist() == [[1, 1, 1]] * 2
    assert tms.Examples(x).target is tms.Examples(x).x or (tms.Examples(x).target == x).all()


def test_what_is_checked_stays_as_it_was_checked():
    sets = tms.SparseFeatures(4, 0.1, sets=[0, 0, 1, 1], pattern="together")
    examples = tms.Examples(np.ones((2, 4)), target=np.zeros((2, 4)))
    for array in (sets.density, sets.importance, sets.sets, examples.x, examples.target, examples.importance):
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 1


def test_a_field_can_be_replaced():
    assert replace(tms.SparseFeatures(2, 0.1), density=0.2).density.tolist() == [0.2, 0.2]
    sets = tms.SparseFeatures(4, 0.1, sets=[0, 0, 1, 1], pattern="together")
    assert replace(sets, density=0.2).sets.tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"x": np.ones(3)}, ValueError, r"x has shape \(3,\); expected \(\.\.\., T, n\)"),
        ({"x": np.ones((0, 3))}, ValueError, r"x has shape \(0, 3\).*at least one example of one feature"),
        ({"x": np.ones((3, 0))}, ValueError, r"x has shape \(3, 0\)"),
        ({"x": np.ones((0, 3, 2))}, ValueError, r"x has shape \(0, 3, 2\)"),
        ({"x": [[1, np.nan]]}, ValueError, "x holds nan"), ({"x": [[1, np.inf]]}, ValueError, "x holds inf"),
        ({"x": [[1, 2j]]}, TypeError, "x has dtype complex128"), ({"x": [["a"]]}, TypeError, "x has dtype"),
        ({"x": [[1, 2], [3]]}, ValueError, "x is no array"),
        ({"x": np.ma.masked_array([[1.0, 2.0]], [[0, 1]])}, TypeError, "x is a masked array"),
        ({"target": np.ones((4, 2))}, ValueError, r"target has shape \(4, 2\); expected that of x, \(4, 3\)"),
        ({"target": np.ones(3)}, ValueError, r"target has shape \(3,\)"),
        ({"target": "abs"}, TypeError, "target has dtype"),
        ({"target": np.full((4, 3), -np.inf)}, ValueError, "target holds -inf"),
        ({"importance": -1}, ValueError, "importance holds -1"),
        ({"importance": [1, 2]}, ValueError, r"importance has shape \(2,\)"),
        ({"importance": np.ones((2, 3))}, ValueError, r"importance \(2, 3\) does not fit x \(4, 3\)"),
    ],
)
def test_bad_examples(arguments, error, message):
    with pytest.raises(error, match=message):
        tms.Examples(**{"x": np.ones((4, 3))} | arguments)

"""Random numbers: exact bits against an oracle in Python ints, and the laws that they follow."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minitms as tms
from minitms import draws
from minitms.draws import BLOCK, HELD_OUT, INITIAL, TRAINING, batch_key, normals, on_by_gaps, uniforms
from minitms.fast import draws as fast
from minitms.fast.jit import kernel
from minitms.fast.lists import lists

DTYPES = ["float32", "float64"]
# Five standard deviations: right numbers miss by chance in fewer than 1 of 10^6 seeds, and the seeds are fixed.
SIGMAS = 5


# ------------------------------------------------------------------------------- the oracle: no NumPy, no shared code

GAMMA = 0x9E3779B97F4A7C15


def splitmix64(state):
    """The published generator, in Python ints: the word of the state that follows this one."""
    z = (state + GAMMA) % 2**64
    z = ((z ^ (z // 2**30)) * 0xBF58476D1CE4E5B9) % 2**64
    z = ((z ^ (z // 2**27)) * 0x94D049BB133111EB) % 2**64
    return z ^ (z // 2**31)


def the_key(seed, stream, model, step):
    """One level for each coordinate: word number `coordinate` of the generator that starts at the level before."""
    key = seed
    for coordinate in (stream, model, step):
        key = splitmix64(key + (coordinate - 1) * GAMMA)
    return key


def the_word(key, c):
    high, low = divmod(key, 2**32)
    z = (low + c * (high | 1)) % 2**32
    z = ((z ^ (z // 2**16)) * 0x7FEB352D) % 2**32 ^ high
    z = ((z ^ (z // 2**15)) * 0x846CA68B) % 2**32
    return z ^ (z // 2**16)


def the_uniform(key, number, dtype):
    if dtype == "float32":
        return the_word(key, number + 1) // 2**8 / 2**24
    return (the_word(key, 2 * number + 1) // 2**5 * 2**26 + the_word(key, 2 * number + 2) // 2**6) / 2**53


def the_places(key, block, column, columns, last):
    """On which examples of a block a rare feature is on; `last` are its 256 words."""
    key, c, place = splitmix64(key), 256 * block * columns + column + 1, 0
    while True:
        word, gap = the_word(key, c), 0
        while gap < 256 and word <= last[gap]:
            gap += 1
        place += gap
        if place >= 256:
            return
        yield 256 * block + place
        place, c = place + 1, c + columns


def test_the_oracle_gives_the_published_words():
    state, words = 1234567, []
    for _ in range(3):
        words.append(splitmix64(state))
        state += GAMMA
    assert words == [6457827717110365317, 3203168211198807973, 9817491932198370423]
    # Wellons's lowbias32 of 1, 2 and 3, computed in C.
    assert [the_word(0, c) for c in (1, 2, 3)] == [1753845952, 3507691905, 1408362973]


COORDINATES = {
    "seed": st.integers(0, 2**63 - 1),
    "stream": st.sampled_from([TRAINING, HELD_OUT, INITIAL]),
    "model": st.integers(0, 2**40),
    "step": st.integers(0, 2**40),
}


@given(**COORDINATES, batch_size=st.integers(1, 5), n=st.integers(1, 7), dtype=st.sampled_from(DTYPES))
def test_keys_and_uniforms_are_the_oracle_s_bits(seed, stream, model, step, batch_size, n, dtype):
    key = batch_key(seed, stream, np.array([model, model + 1]), step)
    assert key.tolist() == [the_key(seed, stream, model, step), the_key(seed, stream, model + 1, step)]
    u = uniforms(key, batch_size, n, dtype)
    assert u.dtype == dtype
    for k in range(2):
        assert u[k].ravel().tolist() == [the_uniform(int(key[k]), e, dtype) for e in range(batch_size * n)]


@given(**COORDINATES, batch_size=st.integers(1, 600), n=st.integers(1, 4))
def test_gaps_are_the_oracle_s_bits(seed, stream, model, step, batch_size, n):
    key, probability = batch_key(seed, stream, np.array(model), step), np.array([0.03, 0.0, 0.06, 0.0005])[:n]
    on, last = on_by_gaps(key, batch_size, probability), draws.last_words(probability)
    for column in range(n):
        places = [e for block in range(-(-batch_size // 256))
                  for e in the_places(int(key), block, column, n, last[column].tolist())]  # fmt: skip
        assert np.flatnonzero(on[:, column]).tolist() == [e for e in places if e < batch_size]


@pytest.mark.parametrize("probability", [0.0, 1e-15, 1e-9, 3e-5, 0.01, 0.0624])
def test_the_words_that_leave_a_long_gap_are_as_many_as_its_probability_says(probability):
    last = draws.last_words(np.array(probability))
    for g in (0, 1, 100, 255):
        exact = 2**32 * (1 - Fraction(probability)) ** (g + 1)
        assert abs(int(last[g]) + 1 - exact) <= Fraction(1, 2) + Fraction(1, 1000)


def test_the_largest_word_gives_a_number_below_one(monkeypatch):
    """32 bits of a float32 would round up to 1.0."""
    monkeypatch.setattr(draws, "words", lambda key, c: np.full(np.shape(c), 2**32 - 1, np.uint32))
    for dtype, largest in (("float32", 1 - 2.0**-24), ("float64", 1 - 2.0**-53)):
        u = uniforms(np.array(0, np.uint64), 3, 2, dtype)
        assert (u == largest).all()
        assert (u < 1).all()
    assert np.isfinite(normals(np.array(0, np.uint64), 5)).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_largest_value_is_below_one(dtype):
    """u / density, of the largest u below the density."""
    density = np.random.default_rng(0).uniform(1 / 16, 1, 100_000)
    density[:3] = 1, 1 / 2, 1 / 16
    law, one = tms.SparseFeatures(100_000, density).law(dtype), np.dtype(dtype).type(1)
    grid = 2.0**24 if dtype == "float32" else 2.0**53
    largest = ((np.ceil(law.high.astype(np.longdouble) * grid) - 1) / grid).astype(dtype)
    assert (largest < law.high).all()
    assert (largest * law.scale < one).all()
    assert (largest * law.scale > 1 - 2e-6).all()


def test_the_streams_do_not_repeat_each_other():
    """Were the coordinates merely added, (model 1, step 0) would be (model 0, step 1)."""
    keys = [batch_key(seed, stream, np.arange(4), step)
            for seed in range(3) for stream in (TRAINING, HELD_OUT, INITIAL) for step in range(4)]  # fmt: skip
    assert len(np.unique(keys)) == 3 * 3 * 4 * 4


# ------------------------------------------------------------------------------------------------------------ the laws


def bits(words):
    """The bits of words, and of what they were before the last shift, as -1 and 1: (32 or 64, words)."""
    both = np.stack([words, words ^ (words >> np.uint32(16))])[:, None]
    bit = (both >> np.arange(32, dtype=np.uint32)[:, None]) & np.uint32(1)
    return 1 - 2 * bit.reshape(64, -1).astype(np.float32)


def worst_correlation(one, other):
    """The largest of all pairs of bits, in standard deviations."""
    return abs(bits(one) @ bits(other).T).max() / np.sqrt(one.size)


KEYS = {
    # A billion batches have some such pairs: one begins where another is, and only `high` tells them apart.
    "equal low halves": lambda rng: [
        [low + 2**32 * high for high in highs] for low, *highs in rng.integers(2**32, size=(16, 3)).tolist()
    ],
    "the next step": lambda rng: [[the_key(5, 0, 7, t), the_key(5, 0, 7, t + 1)] for t in range(16)],
    "the next model": lambda rng: [[the_key(5, 0, k, 3), the_key(5, 0, k + 1, 3)] for k in range(16)],
    "the next seed": lambda rng: [[the_key(s, 0, 0, 0), the_key(s + 1, 0, 0, 0)] for s in range(16)],
}


@pytest.mark.parametrize("keys", KEYS)
def test_no_bit_of_one_batch_tells_a_bit_of_another(keys):
    """16 pairs of batches, 64 x 64 pairs of bits each: 6.5 deviations are one chance in 10^10, times 65,000."""
    c = np.arange(1, 4097, dtype=np.uint32)
    for pair in KEYS[keys](np.random.default_rng(0)):
        one, other = (draws.words(np.array(int(key), np.uint64)[None], c) for key in pair)
        assert worst_correlation(one, other) < 6.5


def test_no_bit_of_a_word_tells_one_of_the_next_words():
    key = batch_key(3, TRAINING, np.array(1), 4)
    words = draws.words(key[None], np.arange(1, 40_001, dtype=np.uint32))
    for lag in (1, 2, 5, 256):
        assert worst_correlation(words[lag:], words[:-lag]) < 6.5


@pytest.mark.parametrize("dtype", DTYPES)
def test_uniforms_are_uniform(dtype):
    """Kolmogorov and Smirnov: the largest gap to the straight line stays below the 1e-6 quantile, 2.69 / √N."""
    u = np.sort(uniforms(batch_key(2, TRAINING, np.array(0), 0), 50_000, 4, dtype).astype(float).ravel())
    gap = abs((np.arange(u.size) + 0.5) / u.size - u).max()
    assert gap * np.sqrt(u.size) < 2.69


def test_normals_are_normal():
    """Mean, variance, and fourth moment: 0, 1 and 3, with variances 1, 2 and 96 of a single one."""
    z = normals(batch_key(1, INITIAL, np.arange(4), 0), 100_000)
    for power, mean, variance in ((1, 0, 1), (2, 1, 2), (4, 3, 96)):
        assert abs((z**power).mean() - mean) < SIGMAS * np.sqrt(variance / z.size)
    assert abs(np.corrcoef(z)[np.triu_indices(4, 1)]).max() < SIGMAS / np.sqrt(100_000)
    assert abs(np.corrcoef(z[0, 1:], z[0, :-1])[0, 1]) < SIGMAS / np.sqrt(100_000)


RARE_ONES = np.array([0.001, 0.01, 0.06, 0.01])


@pytest.fixture(scope="module")
def rare():
    """(models, examples, features), 400 blocks of each of 4 models."""
    return on_by_gaps(batch_key(9, TRAINING, np.arange(4), 2), 400 * BLOCK, RARE_ONES)


def assert_together(one, other, probability):
    """Bits of independent features are both on with the product of their probabilities."""
    bound = SIGMAS * np.sqrt(one.size * probability) + 1
    assert abs((one & other).sum() - one.size * probability) <= bound


def test_rare_features_are_on_as_often_as_their_density_says(rare):
    count, examples = rare.sum(axis=(0, 1)), rare.shape[0] * rare.shape[1]
    assert (abs(count - examples * RARE_ONES) <= SIGMAS * np.sqrt(examples * RARE_ONES * (1 - RARE_ONES))).all()


def test_rare_features_are_on_equally_often_anywhere_in_a_block(rare):
    """Also at its first and last example. Chi-square, with 255 degrees of freedom."""
    for feature in range(4):
        p = RARE_ONES[feature]
        count = rare[..., feature].reshape(-1, BLOCK).sum(axis=0)
        expected = rare.shape[0] * 400 * p
        assert abs(count - expected).max() < (SIGMAS + 1) * np.sqrt(expected) + 3
        chi = ((count - expected) ** 2).sum() / (expected * (1 - p))
        assert abs(chi - BLOCK) < SIGMAS * np.sqrt(2 * BLOCK * (1 + 1 / expected))


def test_a_block_has_as_many_as_a_binomial_law_says(rare):
    """The mean alone would not tell features that come in clusters; the variance does."""
    for feature in range(4):
        p = RARE_ONES[feature]
        count = rare[..., feature].reshape(-1, BLOCK).sum(axis=1)
        variance = BLOCK * p * (1 - p)
        fourth = variance * (1 + (3 * BLOCK - 6) * p * (1 - p))  # the fourth central moment
        assert abs(((count - BLOCK * p) ** 2).mean() - variance) < SIGMAS * np.sqrt((fourth - variance**2) / count.size)


def test_gaps_follow_the_geometric_law(rare):
    """Within a block and across: after an example that is on, the chance to be off for g more is (1 - p)^g."""
    for feature in (1, 2):
        p = RARE_ONES[feature]
        gaps = np.concatenate([np.diff(np.flatnonzero(model)) - 1 for model in rare[..., feature]])
        for g in (1, 10, 50, 255, 256):
            chance = (1 - p) ** g
            bound = SIGMAS * np.sqrt(gaps.size * chance * (1 - chance)) + 1
            assert abs((gaps >= g).sum() - gaps.size * chance) <= bound


@pytest.mark.parametrize("lag", [1, 2, 255, 256, 257, 512])
def test_examples_are_independent(rare, lag):
    for feature in range(4):
        assert_together(rare[:, lag:, feature], rare[:, :-lag, feature], RARE_ONES[feature] ** 2)


@pytest.mark.parametrize("shift", [0, 1, 256])
def test_features_models_and_steps_are_independent(rare, shift):
    whole = rare.shape[1] - shift
    for i in range(4):
        for j in range(4):
            if i != j:
                assert_together(rare[:, shift:, i], rare[:, :whole, j], RARE_ONES[i] * RARE_ONES[j])
            assert_together(rare[1:, shift:, i], rare[:-1, :whole, j], RARE_ONES[i] * RARE_ONES[j])
    later = on_by_gaps(batch_key(9, TRAINING, np.arange(4), 3), 400 * BLOCK, RARE_ONES)
    for i in range(4):
        assert_together(rare[:, shift:, i], later[:, :whole, i], RARE_ONES[i] ** 2)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_value_of_a_rare_feature_is_uniform_and_tells_nothing_of_the_gaps(dtype):
    x = tms.SparseFeatures(5, 0.03).sample(100_000, seed=1, dtype=dtype).astype(float)
    values = np.sort(x[x > 0])
    gap = abs((np.arange(values.size) + 0.5) / values.size - values).max()
    assert gap * np.sqrt(values.size) < 2.69
    for i in range(5):
        place = np.flatnonzero(x[:, i])
        gaps, own = np.diff(place), x[place[1:], i]
        assert abs(np.corrcoef(gaps, own)[0, 1]) < SIGMAS / np.sqrt(gaps.size)


def test_what_is_never_on_and_what_hardly_ever_is():
    key = batch_key(0, TRAINING, np.arange(50), 0)
    on = on_by_gaps(key, 40 * BLOCK, np.array([0.0, 1e-300, 1e-18, 1e-5]))
    assert on[..., :3].sum() == 0
    expected = 50 * 40 * BLOCK * 1e-5
    assert abs(on[..., 3].sum() - expected) < SIGMAS * np.sqrt(expected)


def test_a_batch_in_pieces_is_the_whole():
    key, probability = batch_key(1, TRAINING, np.arange(2), 5), np.array([[0.05, 0.01], [0.03, 0.0]])
    whole = on_by_gaps(key, 1000, probability)
    for size in (1, 255, 256, 257, 999):
        assert (on_by_gaps(key, size, probability) == whole[:, :size]).all()
        assert (uniforms(key, size, 3, "float32") == uniforms(key, 1000, 3, "float32")[:, :size]).all()


# --------------------------------------------------------------------------------------------------------- the kernels


@kernel(_nrt=False)
def draw(key, first, count, k, data, lists, X):
    fast.draw(key, first, count, k, data, lists, X)


@kernel(_nrt=False)
def list_active(key, first, count, k, data, lists):
    return fast.list_active(key, first, count, k, data, lists)


@kernel(_nrt=False)
def list_examples(key, first, count, k, data, lists):
    return fast.list_examples(key, first, count, k, data, lists)


@kernel(_nrt=False)
def key_of(seed, stream, model, step):
    return fast.batch_key(seed, stream, model, step)


@pytest.mark.plain_python
@pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")  # words are meant to wrap
def test_the_kernels_make_the_same_keys():
    for coordinates in ((0, 0, 0, 0), (2**63 - 1, 1, 2**40, 2**40), (7, 2, 3, 1)):
        assert int(key_of(*coordinates)) == the_key(*coordinates)


def both_signs(n, *arguments):
    return [tms.SparseFeatures(n, *arguments, signed=signed) for signed in (False, True)]


PATTERNS = [
    *both_signs(1, 0.4),
    *both_signs(6, np.array([[0.3, 0.01, 1.0, 0.0, 0.0624, 0.5], [0.002, 0.9, 0.05, 0.07, 1e-9, 0.0]])),
    *both_signs(5, 0.02),
    *both_signs(6, np.array([0.2, 0.01, 1.0])[[0, 1, 1, 0, 2, 2]], 1.0, [4, 9, 9, 4, 7, 7], "together"),
    *both_signs(5, np.array([0.5, 0.3, 0.2, 0.6, 0.01]), 1.0, [0, 0, 0, 1, 1], "at_most_one"),
    *both_signs(4, 0.25, 1.0, None, "at_most_one"),
]


@pytest.mark.plain_python
@pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")  # words are meant to wrap
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("source", PATTERNS, ids=lambda source: f"{source.pattern}-{source.n}-{source.signed}")
def test_the_kernels_draw_the_bits_of_the_definition(source, dtype):
    """In panels and as a list, of a whole batch and of pieces that begin with any of its blocks."""
    n, width, data, size = source.n, fast.lanes(dtype), fast.data(source, dtype), 2 * BLOCK + 77
    models = max(1, int(np.prod(source.stack)))
    keys = batch_key(2**63 - 1, HELD_OUT, np.arange(models) + 2**40, 2**40)
    x = source.batch(keys.reshape(source.stack), size, dtype).reshape(models, size, n)
    assert x.dtype == dtype
    for k in range(models):
        for first, count in ((0, size), (BLOCK, BLOCK), (2 * BLOCK, 1)):
            panels = -(-count // width)
            X = fast.in_panels(panels, n, dtype)
            X[...] = np.nan
            draw(keys[k], first, count, k, data, lists(n, False, dtype), X)
            drawn = X.swapaxes(1, 2).reshape(-1, n)[:count]
            assert drawn.tobytes() == (x[k, first : first + count] + 0).tobytes()
        for first, count in ((0, BLOCK), (BLOCK, 3), (2 * BLOCK, 77)):
            room = lists(n, True, dtype)
            found = int(list_active(keys[k], first, count, k, data, room))
            got = np.zeros((count, n), dtype)
            got[room.who[:found], room.number[:found]] = room.value[:found]
            np.testing.assert_array_equal(got, x[k, first : first + count])
            assert found == np.count_nonzero(x[k, first : first + count])  # each once
            if (data.gaps[k] >= 0).any():
                continue
            rows = list_examples(keys[k], first, count, k, data, room)
            some = x[k, first : first + count][x[k, first : first + count].any(axis=-1)]
            assert rows == len(some)
            for r in range(rows):
                own = slice(room.first[r], room.first[r + 1])
                np.testing.assert_array_equal(room.feature[own], np.flatnonzero(some[r]))
                np.testing.assert_array_equal(room.x[own], some[r][some[r] != 0])


@pytest.mark.parametrize("dtype", DTYPES)
def test_fixed_examples_stand_side_by_side(dtype):
    x = np.random.default_rng(0).uniform(size=(2, 100, 3))
    data = fast.fixed(tms.Examples(x, target=x**2), dtype)
    for given_, array in ((x, data.x), (x**2, data.t)):
        back = array.swapaxes(-1, -2).reshape(2, -1, 3)
        assert (back[:, :100] == given_.astype(dtype)).all()
        assert (back[:, 100:] == 0).all()

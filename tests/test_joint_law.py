"""The joint law of the data: of every pair of features, and of examples, steps and models; and samplers that miss it.

A sampler that shares one on/off bit among all features of an example has all its means right. So what is on is looked
at in pairs: on and on, on and off, off and on, off and off. Values must be uniform, each by itself and pair by pair.
"""

from __future__ import annotations

import numpy as np
import pytest

import minitms as tms
from minitms.draws import BLOCK, TRAINING, batch_key

BATCH, STEPS = 160 * BLOCK, 2
SIGMAS = 5  # of a count: chance exceeds them in one of 10^6
# 16 cells, 15 degrees of freedom: chance exceeds this in one of 10^7.
CELLS, MOST_CHI_SQUARE = 4, 62

TWO_SETS = [0, 0, 0, 1, 1]
KINDS = {  # two models of five features; those below 1/16 are drawn by gaps
    "independent": ([[0.3, 0.02, 0.7, 0.1, 0.05], [0.5, 0.3, 0.03, 1.0, 0.15]], None),
    "together": ([[0.3, 0.3, 0.3, 0.1, 0.1], [0.05, 0.05, 0.05, 0.6, 0.6]], TWO_SETS),
    "at_most_one": ([[0.3, 0.1, 0.6, 0.04, 0.5], [0.2, 0.2, 0.2, 0.5, 0.5]], TWO_SETS),
}


def features_of(kind, signed):
    density, sets = KINDS[kind]
    return tms.SparseFeatures(5, density, sets=sets, pattern=kind, signed=signed)


def drawn(features, dtype="float64"):
    """The batches of two steps, (steps, models, batch, n)."""
    models = np.arange(2)
    return np.stack([features.batch(batch_key(7, TRAINING, models, t), BATCH, dtype) for t in range(STEPS)])


# --------------------------------------------------------------------------------------------------------- the law


def on_and_on(kind, density, sets):
    """The probability that features i and j of one example are on, (n, n)."""
    s = np.array(density)
    both = np.outer(s, s)
    if kind != "independent":
        mates = np.equal.outer(sets, sets)
        both = np.where(mates, np.minimum.outer(s, s) if kind == "together" else 0, both)
    np.fill_diagonal(both, s)
    return both


def wrong_counts(a, b, p, s, r):
    """Pairs (i, j) for which a_i and b_j, (trials, n) of bool, are not on together as often as p says."""
    trials, a, b = len(a), a.astype(float), b.astype(float)
    tables = {
        "on, on": (a.T @ b, p), "on, off": (a.T @ (1 - b), s[:, None] - p), "off, on": ((1 - a).T @ b, r - p),
        "off, off": ((1 - a).T @ (1 - b), 1 - s[:, None] - r + p),
    }  # fmt: skip
    for name, (count, chance) in tables.items():
        chance = np.clip(chance, 0, 1)
        chance = np.where(chance < 1e-12, 0, chance)
        spread = SIGMAS * np.sqrt(trials * chance * (1 - chance))
        # In float32 a value of exactly 0 has odds of 1 in 2^24.
        wrong = (abs(count - trials * chance) > spread + 2) | ((chance == 0) & (count > 2))
        for i, j in np.argwhere(wrong):
            yield f"{name} of {i} and {j}"


def wrong_values(a, b, signed, same):
    """Pairs (i, j) whose values, where both are on, are not uniform on the square."""
    low = -1.0 if signed else 0.0
    for i in range(a.shape[1]):
        for j in range(i + 1 if same else 0, b.shape[1]):
            on = (a[:, i] != 0) & (b[:, j] != 0)
            if on.sum() < 10 * CELLS**2:
                continue
            place = [(CELLS * (v[on].astype(float) - low) / (1 - low)).astype(int) for v in (a[:, i], b[:, j])]
            if min(map(np.min, place)) < 0 or max(map(np.max, place)) >= CELLS:
                yield f"range of {i} or {j}"
                continue
            count = np.bincount(CELLS * place[0] + place[1], minlength=CELLS**2)
            expected = on.sum() / CELLS**2
            if ((count - expected) ** 2 / expected).sum() > MOST_CHI_SQUARE:
                yield f"values of {i} and {j}"


def not_uniform(values, signed):
    """Kolmogorov and Smirnov: the largest gap to the straight line, above its 1e-7 quantile."""
    u = np.sort(values.astype(float))
    u = (u + 1) / 2 if signed else u
    gap = abs((np.arange(u.size) + 0.5) / u.size - u).max(initial=0)
    return u.size > 0 and gap * np.sqrt(u.size) > 2.9


def faults(x, kind, signed):
    """In what x (steps, models, batch, n) is not of the law, in words."""
    density, sets = KINDS[kind]
    s, n, found = np.array(density), x.shape[-1], set()

    def look(name, a, b, p, s, r, same=False):
        a, b = a.reshape(-1, n), b.reshape(-1, n)
        found.update(f"{name}: {wrong}" for wrong in wrong_counts(a != 0, b != 0, p, s, r))
        found.update(f"{name}: {wrong}" for wrong in wrong_values(a, b, signed, same))

    for k in range(2):
        one, apart = x[:, k], np.outer(s[k], s[k])
        look("features", one, one, on_and_on(kind, s[k], sets), s[k], s[k], same=True)
        look("examples", one[:, 0::2], one[:, 1::2], apart, s[k], s[k])
        blocks = one.reshape(STEPS, -1, BLOCK, n)
        look("blocks", blocks[:, 0::2], blocks[:, 1::2], apart, s[k], s[k])
        look("steps", one[0], one[1], apart, s[k], s[k])
        for i in range(n):
            values = one[..., i]
            if not_uniform(values[values != 0], signed):
                found.add(f"values of {i}")
    look("models", x[:, 0], x[:, 1], np.outer(s[0], s[1]), s[0], s[1])
    return found


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_the_joint_law(kind, signed, dtype):
    x = drawn(features_of(kind, signed), dtype)
    assert x.dtype == dtype
    assert faults(x, kind, signed) == set()


# ------------------------------------------------------------------------------------------- samplers that miss it
# Written from the paper's words, with NumPy's random numbers.


def sampler(kind, signed, rng, slip=None):
    """A right sampler, or one with a slip."""
    density, sets = KINDS[kind]
    s, shape = np.array(density)[:, None, :], (STEPS, 2, BATCH, 5)
    u, values = rng.uniform(size=shape), rng.uniform(size=shape)
    group = np.arange(5) if sets is None else np.array(sets)
    if kind == "independent":
        deciding = {
            None: u,
            "one bit an example": u[..., :1] + 0 * u,
            "one mask a batch": u[..., :1, :] + 0 * u,
        }.get(slip, u)  # fmt: skip
        on = deciding < s
    elif kind == "together":
        bit = u[..., :1] + 0 * u if slip == "one bit for all sets" else u[..., group]
        on = (u if slip == "no bit is shared" else bit) < s
    else:
        share = s / 3 if slip == "the set's density" else s
        before = [np.zeros((2, 1, 1)), share[..., :2].cumsum(axis=-1), np.zeros((2, 1, 1)), share[..., 3:4]]
        lower = np.concatenate(before, axis=-1)  # of each set by itself, from 0
        on = (lower <= u[..., group]) & (u[..., group] < lower + share)
    if slip == "u is kept":
        values = np.where(kind == "independent", u, values * s)
    if slip == "one value a set":
        values = values[..., group]
    if slip == "the value 1":
        values = np.full(shape, np.nextafter(1, 0))
    values = 2 * values - 1 if signed else values
    if slip == "no sign":
        values = abs(values)
    if slip == "one sign an example":
        values = abs(values) * np.sign(values[..., :1])
    x = np.where(on, values, 0.0)
    if slip == "a model's data again":
        x[:, 1] = np.where(x[:, 0] != 0, x[:, 0], x[:, 1])
    if slip == "a step again":
        x[1] = x[0]
    if slip == "an example twice":
        x[..., 1::2, :] = x[..., 0::2, :]
    if slip == "a block twice":
        pairs = x.reshape(STEPS, 2, -1, 2, BLOCK, 5)
        pairs[:, :, :, 1] = pairs[:, :, :, 0]
    return x


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_a_right_sampler_has_no_fault(kind, signed):
    for seed in range(3):
        assert faults(sampler(kind, signed, np.random.default_rng(seed)), kind, signed) == set()


EVERYWHERE = ["a model's data again", "a step again", "an example twice", "a block twice", "u is kept", "the value 1"]
SLIPS = [
    *((kind, slip, False) for kind in KINDS for slip in EVERYWHERE),
    ("independent", "one bit an example", False), ("independent", "one mask a batch", False),
    ("together", "one bit for all sets", False), ("together", "no bit is shared", False),
    ("together", "one value a set", False), ("at_most_one", "the set's density", False),
    *((kind, slip, True) for kind in KINDS for slip in ("no sign", "u is kept")),
    ("independent", "one sign an example", True), ("together", "one sign an example", True),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "slip", "signed"), SLIPS)
def test_a_sampler_with_a_slip_is_found_out(kind, slip, signed):
    assert faults(sampler(kind, signed, np.random.default_rng(0), slip), kind, signed)


def test_means_alone_do_not_see_one_bit_for_all_features():
    """The earlier replication's slip: every mean is right, and only pairs of features tell."""
    x = sampler("independent", False, np.random.default_rng(0), "one bit an example")
    mean = (x != 0).mean(axis=(0, 2))
    assert abs(mean - KINDS["independent"][0]).max() < 0.01
    found = faults(x, "independent", False)
    assert found
    assert all(fault.startswith("features: o") for fault in found)

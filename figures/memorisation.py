"""Models trained on a fixed set of T examples, for the figure of the follow-up paper: data, recipe, measures."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

import minitms as tms

ACTIVE = 10  # features that are on in an example, on average: the density is 10 / n
SPARE = 10   # examples drawn beyond those that are asked for, since one without any feature cannot be scaled
UNSEEN, TEST = 10**6, 10_000  # seed and number of the examples of the test


def scaled_examples(n, count, seed):
    """Sparse examples, each divided by its length: shape (count, n), |x| = 1.

    A larger set from the same seed begins with the smaller one.
    """
    x = tms.SparseFeatures(n, ACTIVE / n).sample(count + SPARE, seed=seed)
    x = x[x.any(axis=1)][:count]
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def train(T, *, n=1000, data_sets=4, starts=2, steps=10_000, learning_rate=5e-3, weight_decay=1e-2, importance=1.0,
          dtype="float32"):
    """Train on `data_sets` sets of T examples, several starts each, all examples at every step.

    AdamW with a warm-up of a twentieth of the steps, then a cosine. The follow-up's 50,000 steps of 0.001 and these
    10,000 of 0.005 have the same sum of learning rates.

    Returns
    -------
    namespace with W (starts, data sets, 2, n), b (starts, data sets, n), loss and test (starts, data sets), both with
    importance 1; and of the start with the lowest training loss of each data set `best` (data sets)
    """
    x = np.stack([scaled_examples(n, T, seed) for seed in range(data_sets)])
    run = tms.train(tms.Examples(x, importance), 2, steps=steps, learning_rate=learning_rate, warmup=steps // 20,
                    weight_decay=weight_decay, restarts=starts, seed=0, dtype=dtype)
    test = scaled_examples(n, TEST, UNSEEN)
    tested = np.array([[loss_on(*model, test) for model in zip(*start, strict=True)]
                       for start in zip(run.W, run.b, strict=True)])
    return SimpleNamespace(T=T, n=n, x=x, W=run.W, b=run.b, loss=run.loss / importance, test=tested,
                           best=run.loss.argmin(axis=0))


def loss_on(W, b, x, at_once=1000):
    """The loss on examples x, of which only some at a time stand in memory as outputs."""
    parts = np.split(x, range(at_once, len(x), at_once))
    return np.average([tms.loss(W, b, part) for part in parts], weights=[len(part) for part in parts])


def of_best(run, name):
    """Of each data set, what belongs to the start with the lowest training loss."""
    return getattr(run, name)[run.best, np.arange(len(run.best))]


def shares(vectors):
    """Shares of a dimension of vectors (..., 2, count), as `minitms.dimensionality` has them, largest first.

    With M = sum over j of v_j v_jᵀ the sum over j of (v̂_i · v_j)² is v̂_iᵀ M v̂_i: no products of all with all.
    """
    v = np.asarray(vectors, np.float64)
    squares = (v**2).sum(axis=-2)
    shared = (v * (v @ v.mT @ v)).sum(axis=-2)  # |v_i|² v̂_iᵀ M v̂_i
    return np.sort(squares**2 / np.where(squares > 0, shared, 1), axis=-1)[..., ::-1]


def hidden_examples(run):
    """Hidden vectors of the examples of each data set in its best model, (data sets, 2, T)."""
    return of_best(run, "W").astype(np.float64) @ run.x.mT


def is_pentagon(W, degrees=10.0):
    """Whether exactly five features of W (2, n) are represented, with gaps of 72° between neighbours."""
    corners = W[:, tms.feature_norms(W) > 0.5]
    if corners.shape[1] != 5:
        return False
    angle = np.sort(np.degrees(np.arctan2(*corners)))
    return bool((abs(np.diff(angle, append=angle[0] + 360) - 72) <= degrees).all())

"""Wrong gradients: mistakes planted in the backward passes of minitms, each with the hint that it deserves.

A mutant is an edit of one line of the source (`old` becomes `new`), or a change of the numbers that come out. What
`check_grad` is to say stands here, before any run: one word for W and one for b, as in `minitms.testing.diagnosis`;
None where the pattern of the errors does not give the mistake away; "right" where that gradient stays right. Mutants
that compute the same gradient carry the proof instead, and no checker may complain about them.
"""

from __future__ import annotations

import inspect
import sys
import types
from typing import NamedTuple

import numpy as np
from gradient_cases import Case

import minitms as tms
from minitms import expected, model

RIGHT = "right"


class Mutant(NamedTuple):
    setting: str
    old: str                 # in the source; or the words "the result"
    new: str                 # in the source; or what is done to the result
    W: str | None = None     # the hint expected for W, and for b
    b: str | None = None
    proof: str | None = None  # why the gradient is the same
    change: object = None    # the change of the numbers

    @property
    def expected(self):
        return {name: hint for name, hint in (("W", self.W), ("b", self.b)) if hint not in (None, RIGHT)}


def case(mutant):
    """The setting's loss with the mutant's gradient."""
    right = SETTINGS[mutant.setting]()
    if mutant.change:
        return right._replace(gradient=lambda p: mutant.change(p, *right.gradient(p).values()))
    module = expected if mutant.setting.startswith("expected") else model
    source = inspect.getsource(module)
    # In model.py the edit goes to the backward pass only; the loss is the original's, and stays right either way.
    start = source.index("def _backward") if module is model else 0
    if source[start:].count(mutant.old) < 1:
        raise ValueError(f"{mutant.old!r} is not in the source of {module.__name__}: the mutant needs mending")
    edited = types.ModuleType(f"{module.__name__}_mutant")
    sys.modules[edited.__name__] = edited  # where NamedTuple and dataclass look for their module
    mutated = source[:start] + source[start:].replace(mutant.old, mutant.new, 1)
    exec(compile(mutated, edited.__name__, "exec"), edited.__dict__)
    function = "backward" if module is model else "expected_gradients"
    return gradient_of(mutant.setting, right, getattr(edited, function))


def gradient_of(setting, right, function):
    return right._replace(gradient=lambda p: dict(zip("Wb", function(*p.values(), *ARGUMENTS[setting]), strict=True)))


def _toy(setting, m, n, batch, activation, stack=(), seed=117):
    """A generic point: no symmetry, importances that differ, half the features off; each output is on at times.

    The seed was chosen such that in "relu" one output is always on, and some z lie in (0, 0.5), and in (-0.5, 0) where
    the feature is on: masks at other thresholds would change nothing elsewhere.
    """
    random = np.random.default_rng(seed)
    params = {"W": random.normal(size=(*stack, m, n)), "b": random.normal(size=(*stack, n))}
    x = random.uniform(size=(*stack, batch, n)) * (random.uniform(size=(*stack, batch, n)) < 0.6)
    ARGUMENTS[setting] = (x, random.uniform(0.5, 2, n), activation)
    return gradient_of(
        setting,
        Case(
            setting, lambda p: tms.loss(*p.values(), *ARGUMENTS[setting]).sum(), None, params,
            (lambda p: tms.forward(*p.values(), x, "linear")) if activation == "relu" else None,
        ),
        tms.backward,
    )


def _expected(setting, activation):
    random = np.random.default_rng(3)
    params = {"W": random.normal(size=(2, 3)), "b": 0.5 * random.normal(size=3)}
    ARGUMENTS[setting] = (np.array([0.3, 0.5, 0.8]), np.array([1.0, 0.7, 1.3]), activation)
    right = Case(setting, lambda p: tms.expected_loss(*p.values(), *ARGUMENTS[setting]), None, params)
    return gradient_of(setting, right, tms.expected_gradients)


ARGUMENTS = {}
SETTINGS = {
    "relu": lambda: _toy("relu", 3, 5, 6, "relu"),
    "linear": lambda: _toy("linear", 3, 5, 6, "linear"),
    "square": lambda: _toy("square", 4, 4, 6, "relu"),
    "stack": lambda: _toy("stack", 3, 5, 6, "relu", stack=(4,)),
    "one neuron": lambda: _toy("one neuron", 1, 2, 16, "relu", seed=8),
    "large": lambda: _toy("large", 50, 200, 4, "relu"),
    "expected relu": lambda: _expected("expected relu", "relu"),
    "expected linear": lambda: _expected("expected linear", "linear"),
}

M = Mutant
DY, DZ, DB = "dy = 2 * importance * (y - t) / batch", "dz = dy * g_slope(z)", "db = dz.sum(axis=-2)"
DECODE, DH, ENCODE = "dD = h.mT @ dz", "dh = dz @ D.mT", "dE = da.mT @ x"
DW = "dW = dD + dE"
LAYERS = "layers = _layers(W, b, x, activation, hidden)"

_off = "where z is not positive the mask is 0, and elsewhere"


def _edits(setting, old, *rows):
    """One mutant a row: (new right-hand side, hint for W, hint for b) or (new right-hand side, proof)."""
    left = old.split("=")[0]
    for new, *rest in rows:
        if len(rest) == 1:
            yield M(setting, old, f"{left}= {new}", proof=rest[0])
        else:
            yield M(setting, old, f"{left}= {new}", *rest)


def _every_line(setting):
    yield from _edits(
        setting, DY,
        ("importance * (y - t) / batch", "factor", "factor"),
        ("3 * importance * (y - t) / batch", "factor", "factor"),
        ("4 * importance * (y - t) / batch", "factor", "factor"),
        ("2.002 * importance * (y - t) / batch", "factor", "factor"),
        ("-2 * importance * (y - t) / batch", "sign", "sign"),
        ("2 * importance * (t - y) / batch", "sign", "sign"),
        ("2 * importance * (y + t) / batch", None, None),
        ("2 * importance * y / batch", None, None),
        ("2 * importance * t / batch", None, None),
        ("2 * importance * (y - 2 * t) / batch", None, None),
        ("2 * importance * (y - t)", "factor", "factor"),
        ("2 * importance * (y - t) / (batch - 1)", "factor", "factor"),
        ("2 * importance * (y - t) / (batch + 1)", "factor", "factor"),
        ("2 * importance * (y - t) * batch", "factor", "factor"),
        ("2 * importance * (y - t) / batch**2", "factor", "factor"),
        ("2 * importance * (y - t) / x.shape[-1]", "factor", "factor"),
        ("2 * importance * (y - t) / x.size", "factor", "factor"),
        ("2 * importance * (y - t) / np.sqrt(batch)", "factor", "factor"),
        ("2 * (y - t) / batch", None, None),
        ("2 * importance**2 * (y - t) / batch", None, None),
        ("2 * np.sqrt(importance) * (y - t) / batch", None, None),
        ("2 / importance * (y - t) / batch", None, None),
        ("2 * importance[..., ::-1] * (y - t) / batch", None, None),
        ("2 * importance.mean() * (y - t) / batch", None, None),
        ("(2 + importance) * (y - t) / batch", None, None),
        ("2 * importance * np.abs(y - t) / batch", None, None),
        ("2 * importance * (y - t) ** 2 / batch", None, None),
        ("2 * importance * np.sign(y - t) / batch", None, None),
        ("2 * importance * (y - t.mean(axis=-2, keepdims=True)) / batch", None, None),
        ("2 * importance * (z - t) / batch", f"{_off} y = z" if setting == "relu" else "y is z"),
    )
    yield from _edits(
        setting, DB,
        ("dz.mean(axis=-2)", RIGHT, "factor"),
        ("2 * dz.sum(axis=-2)", RIGHT, "factor"),
        ("1.001 * dz.sum(axis=-2)", RIGHT, "factor"),
        ("-dz.sum(axis=-2)", RIGHT, "sign"),
        ("0 * dz.sum(axis=-2)", RIGHT, "zero"),
        ("dz.sum(axis=-1)", RIGHT, "shape"),
        ("dz.max(axis=-2)", RIGHT, None),
        ("dz[..., 1:, :].sum(axis=-2)", RIGHT, None),
        ("dz.sum(axis=-2)[..., ::-1]", RIGHT, "order"),
        ("np.roll(dz.sum(axis=-2), 1, axis=-1)", RIGHT, "order"),
        ("dz.sum(axis=-2) / importance[..., 0, :]", RIGHT, None),
        ("dz.cumsum(axis=-2)[..., -1, :]", "the last of the running sums is the sum"),
        ("np.ones(batch) @ dz", "a product with ones is the sum"),
    )
    yield from _edits(
        setting, DECODE,
        ("0 * h.mT @ dz", "path", RIGHT),
        ("2 * h.mT @ dz", "path", RIGHT),
        ("-h.mT @ dz", "path", RIGHT),
        ("1.001 * h.mT @ dz", "path", RIGHT),
        ("h.mT @ dz / batch", "path", RIGHT),
        ("h.mT @ dz * batch", "path", RIGHT),
        ("h.mT @ z", None, RIGHT),
        ("h.mT @ x", None, RIGHT),
        ("h.mT @ (y - t)", None, RIGHT),
        ("h[..., ::-1, :].mT @ dz", None, RIGHT),
        ("h.mT[..., ::-1, :] @ dz", None, RIGHT),
        ("h.mT @ dz[..., ::-1]", None, RIGHT),
        ("np.abs(h).mT @ dz", None, RIGHT),
        ("np.maximum(h, 0).mT @ dz", None, RIGHT),
        ("(D @ x.mT) @ dz", "h = x Wᵀ, so hᵀ = W xᵀ"),
        ("(dz.mT @ h).mT", "(A B)ᵀ = Bᵀ Aᵀ"),
    )
    yield from _edits(
        setting, DH,
        ("2 * dz @ D.mT", "path", RIGHT),
        ("-dz @ D.mT", "path", RIGHT),
        ("dz @ D.mT / 2", "path", RIGHT),
        ("dz @ np.abs(D).mT", None, RIGHT),
        ("dz @ D[..., ::-1].mT", None, RIGHT),
        ("dz @ D[..., ::-1, :].mT", None, RIGHT),
        ("y @ D.mT", None, RIGHT),
        ("z @ D.mT", None, RIGHT),
        ("dz @ D.mT + h", None, RIGHT),
        ("dz @ D.mT * (h > 0)", None, RIGHT),
        ("dz @ (D / np.linalg.norm(D, axis=-2, keepdims=True)).mT", None, RIGHT),
        ("(D @ dz.mT).mT", "(A B)ᵀ = Bᵀ Aᵀ"),
    )
    yield from _edits(
        setting, ENCODE,
        ("0 * da.mT @ x", "path", RIGHT),
        ("0.999 * da.mT @ x", "path", RIGHT),
        ("da.mT @ x / batch", "path", RIGHT),
        ("da.mT @ y", None, RIGHT),
        ("da.mT @ z", None, RIGHT),
        ("da.mT @ (x > 0)", None, RIGHT),
        ("da.mT @ (x - x.mean(axis=-2, keepdims=True))", None, RIGHT),
        ("da.mT @ (x + 1e-3)", None, RIGHT),
        ("h.mT @ x", None, RIGHT),
        ("da[..., ::-1, :].mT @ x", None, RIGHT),
        ("da.mT[..., ::-1, :] @ x", None, RIGHT),
        ("da.mT @ x[..., ::-1]", None, RIGHT),
        ("(x.mT @ da).mT", "(A B)ᵀ = Bᵀ Aᵀ"),
    )
    yield from _edits(
        setting, DW,
        ("dD", "path", RIGHT),
        ("dE", "path", RIGHT),
        ("dD - dE", "path", RIGHT),
        ("dE - dD", "path", RIGHT),
        ("dD + dD", "path", RIGHT),
        ("dE + dE", "path", RIGHT),
        ("(dD + dE) / 2", "factor", RIGHT),
        ("1.001 * (dD + dE)", "factor", RIGHT),
        ("-(dD + dE)", "sign", RIGHT),
        ("0 * (dD + dE)", "zero", RIGHT),
        ("np.abs(dD + dE)", "signs", RIGHT),
        ("dD * dE", None, RIGHT),
        ("np.maximum(dD, dE)", None, RIGHT),
        ("dD + dE + W", "decay", RIGHT),
        ("dD + dE - 0.01 * W", "decay", RIGHT),
        ("(dD + dE)[..., ::-1]", "order", RIGHT),
        ("(dD + dE)[..., ::-1, :]", "order", RIGHT),
        ("np.roll(dD + dE, 1, axis=-1)", "order", RIGHT),
        ("np.roll(dD + dE, -1, axis=-2)", "order", RIGHT),
        ("(dD + dE).mT", "shape", RIGHT),
        ("(dD + dE).mT.reshape(dD.shape)", "transpose", RIGHT),
        ("np.clip(dD + dE, -0.1, 0.1)", "clipped", RIGHT),
        ("(dD + dE) / np.linalg.norm(dD + dE)", "factor", RIGHT),
    )
    yield M(setting, LAYERS, LAYERS.replace(" b,", " 0 * b,"))
    yield M(setting, LAYERS, f"importance = np.ones_like(importance); {LAYERS}")
    yield M(setting, "x.shape[-2]", "x.shape[-1]", "factor", "factor")
    yield M(setting, "x.shape[-2]", "x.shape[0]", proof="without a stack the first axis is the batch")
    yield M(setting, "return dW, db", "return db, dW", "swapped", "swapped")
    for new, hints, change in (
        ("db + b", (RIGHT, "decay"), lambda p, W, b: {"W": W, "b": b + p["b"]}),
        ("db * b", (RIGHT, None), lambda p, W, b: {"W": W, "b": b * p["b"]}),
        ("W, b", (None, None), lambda p, W, b: p),
    ):
        yield M(setting, "the result", new, *hints, change=_named(change))


def _masks():
    yield from _edits(
        "relu", DZ,
        ("dy * (z >= 0)", "no z is exactly 0: there, at the kink, no gradient exists"),
        ("dy * (y > 0)", "y = ReLU(z) is positive where z is"),
        ("dy * np.heaviside(z, 0.5)", "no z is exactly 0"),
        ("dy * 1", "mask", "mask"),
        ("dy * (z < 0)", "mask", "mask"),
        ("dy * (z <= 0)", "mask", "mask"),
        ("dy * (z != 0)", "mask", "mask"),
        ("dy * (z > -0.5)", "mask", "mask"),
        ("dy * (z > 0.5)", "mask", "mask"),
        ("dy * np.sign(z)", "mask", "mask"),
        ("dy * np.where(z > 0, 1, 0.01)", "mask", "mask"),
        ("dy * (z > 0).any(axis=-2, keepdims=True)", "mask", "mask"),
        ("dy * (z > 0).all(axis=-2, keepdims=True)", "mask", "mask"),
        ("dy * (z > 0).mean(axis=-1, keepdims=True)", "mask", "mask"),
        ("dy * (z[..., ::-1] > 0)", "mask", "mask"),
        ("dy * np.roll(z > 0, 1, axis=-2)", "mask", "mask"),
        ("dy * (x > 0)", None, None),
        ("dy * (dy > 0)", None, None),
        ("dy * np.maximum(z, 0)", None, None),
        ("dy * z", None, None),
    )
    yield from _edits("relu", DB, ("dy.sum(axis=-2)", RIGHT, "mask"))
    yield from _edits("relu", DECODE, ("h.mT @ dy", "mask", RIGHT))
    yield from _edits("relu", DH, ("dy @ D.mT", "mask", RIGHT))
    yield from _edits("relu", ENCODE, ("da.mT @ (x * (z > 0))", "mask", RIGHT))
    yield M("relu", "SLOPES[activation]", 'SLOPES["linear"]', "mask", "mask")
    yield M("relu", LAYERS, LAYERS.replace("activation", '"linear"'), proof=f"{_off} y = z")
    yield M("linear", "SLOPES[activation]", 'SLOPES["relu"]')
    yield M("linear", LAYERS, LAYERS.replace("activation", '"relu"'))


def _stacks():
    setting = "stack"
    yield M(setting, "x.shape[-2]", "x.shape[0]", "factor", "factor")
    for old, new, *hints in (
        (DB, "np.repeat(dz.sum(axis=(0, -2))[None], len(dz), axis=0)", RIGHT, None),
        (DB, "np.roll(dz.sum(axis=-2), 1, axis=0)", RIGHT, "order"),
        (DW, "np.roll(dD + dE, 1, axis=0)", "order", RIGHT),
        (DW, "(dD + dE)[::-1]", "order", RIGHT),
        (DW, "np.repeat((dD + dE)[:1], len(W), axis=0)", None, RIGHT),
        (DW, "(dD + dE) / len(W)", "factor", RIGHT),
        (DW, "dD", "path", RIGHT),
    ):
        yield M(setting, old, f"{old.split('=')[0]}= {new}", *hints)


def _expected_edits():
    W = "self.W @ (G + G.mT)"
    for setting in ("expected relu", "expected linear"):
        yield M(setting, W, "self.W @ G", "path", RIGHT)
        yield M(setting, W, "self.W @ G.mT", "path", RIGHT)
        yield M(setting, W, "self.W @ (G - G.mT)", "path", RIGHT)
        yield M(setting, W, "self.W @ (G + G)", "path", RIGHT)
        yield M(setting, W, "2 * self.W @ (G + G.mT)", "factor", RIGHT)
        yield M(setting, W, "self.W @ (G.mT + G)", proof="a sum in the other order")
    G, b = "weight[:, None] * J_c", "weight * J_b"
    relu = "expected relu"
    yield M(relu, f"+= {G}", f"= {G}", None, RIGHT)
    yield M(relu, f"+= {G}", "+= J_c", None, RIGHT)
    yield M(relu, f"+= {G}", f"+= 1.001 * {G}", "factor", RIGHT)
    yield M(relu, f"+= {b}", f"= {b}", RIGHT, None)
    yield M(relu, f"+= {b}", "+= J_b", RIGHT, None)
    yield M(relu, f"+= {b}", f"+= {b} / 2", RIGHT, "factor")
    yield M(relu, "probability * model.importance[:, i]", "probability")
    yield M(relu, "(low * (2 * p + q) +", "(low * (p + q) +", None, RIGHT)
    yield M(relu, "high * (p + 2 * q))", "high * (p + q))", None, RIGHT)
    yield M(relu, "(low * (2 * p + q) + high", "((2 * p + q) + high", None, RIGHT)
    yield M(relu, "high * (p + 2 * q)) / 3", "high * (p + 2 * q)) / 6", None, RIGHT)
    yield M(relu, "J_d = width * (p + q)", "J_d = width * (p - q)")
    yield M(relu, "J_d = width * (p + q)", "J_d = width * 2 * p")
    yield M(relu, "for t in reversed(outer)", "for t in outer", None, RIGHT)
    linear = "expected linear"
    G, b = "G = 2 * importance * (MC + e * mu[:, None, :])", "db = 2 * importance * e"
    yield M(linear, G, G.replace("2 * ", ""), "factor", RIGHT)
    yield M(linear, G, G.replace("MC + ", ""), None, RIGHT)
    yield M(linear, G, G.replace(" + e * mu[:, None, :]", ""), None, RIGHT)
    yield M(linear, G, G.replace("MC +", "MC -"), None, RIGHT)
    yield M(linear, G, G.replace("importance * ", ""), None, RIGHT)
    yield M(linear, b, "db = importance * e", RIGHT, "factor")
    yield M(linear, b, "db = 2 * e", RIGHT, None)
    yield M(linear, b, "db = -2 * importance * e", RIGHT, "sign")
    yield M(linear, "C = second - outer / 4", "C = second", None, RIGHT)


def _changes():
    """Changes of the numbers that come out."""

    def scaled(name, index, factor):
        def change(p, W, b):
            gradient = {"W": W, "b": b}
            gradient[name][index] *= factor
            return gradient
        return change

    def planted(setting, name, index, factor, hint):
        hints = (hint, RIGHT) if name == "W" else (RIGHT, hint)
        where = str(index).replace("slice(None, None, None)", ":")
        change = _named(scaled(name, index, factor))
        return M(setting, "the result", f"d{name}[{where}] times {factor}", *hints, change=change)

    every = slice(None)
    for index in ((0, 0), (1, 2), (2, 4)):
        for factor in (1.001, 0, -1):
            yield planted("relu", "W", index, factor, "entry")
    for index in (0, 4):
        yield planted("linear", "b", index, 1.001, "entry")
    for index in ((0, 0), (17, 123), (49, 199)):
        yield planted("large", "W", index, 1.001, "entry")
    yield planted("large", "b", 150, 1.001, "entry")
    for index in ((0, every), (2, every), (every, 0), (every, 4)):
        for factor in (1.001, 0):
            yield planted("linear", "W", index, factor, "slice")
    for setting, new, hint, of_W in (
        ("square", "dW transposed", "transpose", np.transpose),
        ("large", "1.001 dW", "factor", lambda W: 1.001 * W),
        ("large", "dW reversed", "order", lambda W: W[:, ::-1]),
    ):
        change = _named(lambda p, W, b, of_W=of_W: {"W": of_W(W), "b": b})
        yield M(setting, "the result", new, hint, RIGHT, change=change)

    def in_place(p, W, b):
        p["W"] *= 2
        return {"W": W, "b": b}

    def not_a_number(p, W, b):
        W[1, 1] = np.nan
        return {"W": W, "b": b}

    random = np.random.default_rng(0)
    yield M("relu", "the result", "W doubled in place", "modifies its input", change=_named(in_place))
    yield M("relu", "the result", "a NaN in dW", "not finite", change=_named(not_a_number))
    yield M("relu", "the result", "dW with 1 % noise", "not deterministic",
            change=_named(lambda p, W, b: {"W": W * random.normal(1, 0.01, W.shape), "b": b}))


def _named(change):
    """Changes work on the dict of gradients, and on copies."""
    return lambda p, *names: change(p, *(np.array(p_) for p_ in names))


def _one_neuron():
    setting = "one neuron"
    for old, new, hint in (
        (DW, "dD", "path"), (DW, "dE", "path"), (DW, "dD - dE", "path"),
        (DECODE, "2 * h.mT @ dz", "path"), (DW, "2 * (dD + dE)", "factor"),
        (DW, "1.001 * (dD + dE)", "factor"), (DECODE, "h.mT @ dy", "mask"),
    ):
        yield M(setting, old, f"{old.split('=')[0]}= {new}", hint, RIGHT)


MUTANTS = (
    *_every_line("relu"), *_every_line("linear"), *_masks(), *_stacks(), *_one_neuron(), *_expected_edits(),
    *_changes(),
)

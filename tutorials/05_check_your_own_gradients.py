# %% [markdown]
# # 5. Check your own gradients
#
# The checker that this library's own gradients have to pass works for any function of arrays. Here we write a backward
# pass that the library does not have, get it wrong in the three usual ways, read what the check says, mend it, and
# prove it on many random cases. Then the same for a function in PyTorch and one in Numba.
#
# **You will be able to**
# - derive and write a backward pass for a model of your own;
# - check it with `check_grad`, and tell from the message what is wrong;
# - say what a kink is, why no gradient can be right there, and what to do about it;
# - let Hypothesis search for the case that you have not thought of;
# - check functions of PyTorch and Numba in the same way.
#
# **You need** [tutorial 2](02_the_gradient_by_hand.ipynb). [Hypothesis](https://hypothesis.readthedocs.io) for part 5
# (`pip install hypothesis`). PyTorch only if you want to see part 6; without it that part says so and goes on.
#
# **Contents**: [a new model](#model), [how a check works](#how), [three mistakes](#mistakes), [kinks](#kinks),
# [prove it](#prove), [PyTorch](#torch), [Numba](#numba), [what to vary](#vary), [exercises](#exercises).
# Reading takes about 30 minutes; the [map](README.md) says how long the cells run, and has a glossary.
#
# **Letters and shapes**: d*thing* is the derivative of the loss by that thing, and has its shape.
#
# | letter | what it is | shape |
# | --- | --- | --- |
# | $x$, $z$, $y$ | input, before and after the activation | (batch, n) |
# | $h$ | hidden values | (batch, m) |
# | W1 | encoder | (m, n) |
# | W2 | decoder | (n, m) |
# | $b$ | bias | (n,) |
# | $I$, $\alpha$ | importance; slope of the activation below 0 (`LEAK` in the code) | (n,); a number |

# %%
try:
    import minitms as tms
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "minitms is missing; in a clone of its repository run: pip install -e ."
    ) from error

import matplotlib.pyplot as plt
import numba
import numpy as np

from minitms import plots
from minitms.testing import GradientError, NotDifferentiableError, check_grad

plt.style.use(plots.STYLE)
rng = np.random.default_rng(0)

# %% [markdown]
# <a id="model"></a>
# ## 1. A new model
#
# Two changes to the model of the other tutorials. It has separate weights for storing and for reading out, W1 and W2
# (*untied*). And its activation is a *leaky* ReLU, which does not stop negative numbers but shrinks them:
#
# $$ h = x\,W_1^\top \qquad z = h\,W_2^\top + b \qquad y = z \text{ where } z > 0,\; \alpha z \text{ elsewhere} $$
#
# By hand, with one number each: $x = 0.5$, $w_1 = 1$, $w_2 = -1$, $b = 0.1$, $\alpha = 0.1$.
#
# - Forward: $h = 0.5$, $z = -0.5 + 0.1 = -0.4$, $y = 0.1 \cdot (-0.4) = -0.04$, $L = (y - x)^2 = (-0.54)^2 = 0.2916$.
# - Backward: $dy = 2 (y - x) = -1.08$. The activation has slope $\alpha$ here: $dz = 0.1 \cdot (-1.08) = -0.108$, and
#   $db = dz$. Then $dw_2 = h \cdot dz = -0.054$, $dh = w_2 \cdot dz = 0.108$, $dw_1 = x \cdot dh = 0.054$.
#
# **Predict.** If $z$ were +0.4, what would $dz$ be?
#
# <details><summary>Answer</summary>
#
# $y = 0.4$, $dy = 2 (0.4 - 0.5) = -0.2$. The slope is 1: $dz = dy = -0.2$.
#
# </details>

# %%
LEAK = 0.1


def pre_activation(params, x):
    h = x @ params["W1"].T
    return h @ params["W2"].T + params["b"]


def loss(params, x, importance):
    z = pre_activation(params, x)
    y = np.where(z > 0, z, LEAK * z)
    return (importance * (y - x) ** 2).sum(axis=1).mean()


def backward(params, x, importance):
    W1, W2 = params["W1"], params["W2"]
    h = x @ W1.T
    z = h @ W2.T + params["b"]
    y = np.where(z > 0, z, LEAK * z)

    dy = 2 * importance * (y - x) / len(x)
    dz = dy * np.where(z > 0, 1, LEAK)  # the slope of the activation
    dW2 = dz.T @ h  # z = h W2ᵀ + b
    dh = dz @ W2
    dW1 = dh.T @ x  # h = x W1ᵀ
    return {"W1": dW1, "W2": dW2, "b": dz.sum(axis=0)}


tiny = {"W1": np.array([[1.0]]), "W2": np.array([[-1.0]]), "b": np.array([0.1])}
one_example = np.array([[0.5]])
by_hand = {"W1": 0.054, "W2": -0.054, "b": -0.108}
print("L =", loss(tiny, one_example, 1.0).round(6))
print(
    {name: round(d.item(), 6) for name, d in backward(tiny, one_example, 1.0).items()}
)
assert np.isclose(loss(tiny, one_example, 1.0), 0.2916)
assert all(
    np.isclose(backward(tiny, one_example, 1.0)[name], value)
    for name, value in by_hand.items()
)

# %% [markdown]
# And the check. It takes a function for the loss and one for the gradient, each of *one* argument, which may be an
# array or a number, or a list, tuple or dict of these.

# %%
print(
    check_grad(
        lambda p: loss(p, one_example, 1.0),
        lambda p: backward(p, one_example, 1.0),
        tiny,
    )
)

# %% [markdown]
# If the gradient is right, the call returns this table; if it is wrong, the call raises a `GradientError`. For each
# parameter the table says how far the measured slope is from the claimed one (*error*), how much of that rounding can
# explain (*tolerance*), how large the slope is, and how far the parameter was moved (*step*). The slope is the one
# along a random direction, which tests all entries at once. So it is not one of the numbers that we worked out by hand.
#
# <a id="how"></a>
# ## 2. How a check works, and why it is not obvious
#
# The idea is that of tutorial 2: move a parameter by $h$ to both sides, see how the loss changes. (In this part $h$ is
# the length of a step, not a hidden value.) This is called a *central difference*:
#
# $$ \frac{L(w + h) - L(w - h)}{2h} \approx \frac{dL}{dw} $$
#
# How small should $h$ be? **Predict.** What happens to the error as $h$ gets smaller and smaller?
#
# <details><summary>Answer</summary>
#
# At first it shrinks with $h^2$, as Taylor's formula says. Then it grows again, like $1/h$: a computer rounds $L$ to 16
# digits, and if $L(w + h)$ and $L(w - h)$ agree in the first 12, only 4 are left in the difference.
#
# </details>

# %% [markdown]
# The second curve in the picture uses four points, two on each side, weighted so that the error in $h^2$ cancels:
#
# $$ \frac{8\,(L(w + h) - L(w - h)) - (L(w + 2h) - L(w - 2h))}{12h} $$
#
# As long as no $z$ changes its sign, the loss along a straight line is a polynomial of degree 4 ($z$ is quadratic,
# since W1 meets W2, and is squared), and for such a polynomial this formula is exact at any $h$, but for rounding.
# (Try $L = w^3$.)

# %%
n, m, batch = 4, 2, 6
importance = 0.9 ** np.arange(n)
x = tms.SparseFeatures(n=n, density=0.7).sample(batch, seed=1)
params = {
    "W1": rng.normal(size=(m, n)),
    "W2": rng.normal(size=(n, m)),
    "b": rng.normal(size=n),
}
direction = {name: rng.normal(size=value.shape) for name, value in params.items()}


def along(t):
    """The loss on a straight line through the parameters."""
    return loss(
        {name: value + t * direction[name] for name, value in params.items()},
        x,
        importance,
    )


# Per unit of t each entry moves by its `direction`: the chain rule adds up all shares.
slope = sum(
    (backward(params, x, importance)[name] * direction[name]).sum() for name in params
)
hs = 10.0 ** np.arange(-12, 0.01, 0.25)
two_points = np.array([(along(h) - along(-h)) / (2 * h) for h in hs])
four_points = np.array(
    [
        (8 * (along(h) - along(-h)) - (along(2 * h) - along(-2 * h))) / (12 * h)
        for h in hs
    ]
)

fig, ax = plt.subplots(figsize=(5.5, 3.2))
for values, label in ((two_points, "two points"), (four_points, "four points")):
    ax.plot(hs, abs(values - slope) / abs(slope), ".-", label=label)


def signs(t):
    return (
        pre_activation(
            {name: value + t * direction[name] for name, value in params.items()}, x
        )
        > 0
    )


crossed = np.array(
    [any((signs(t) != signs(0)).any() for t in (-2 * h, -h, h, 2 * h)) for h in hs]
)
ax.axvline(hs[crossed][0], color="0.6", linestyle=":")
ax.annotate(
    "some z changes sign",
    (hs[crossed][0], 0.3),
    xytext=(-4, 0),
    textcoords="offset points",
    ha="right",
)
ax.set(
    xscale="log", yscale="log", xlabel="step h", ylabel="relative error of the slope"
)
ax.legend()
plt.show()
print(
    f"smallest error with two points {abs(two_points / slope - 1).min():.0e}, "
    f"with four {abs(four_points / slope - 1).min():.0e}"
)

# %% tags=["check"]
assert abs(two_points / slope - 1).min() < 1e-7
assert (abs(four_points / slope - 1)[(hs > 1e-4) & ~crossed] < 1e-9).all()
assert (abs(four_points / slope - 1)[crossed] > 1e-4).all()

# %% [markdown]
# From the left, rounding falls like $1/h$. Then the error with two points grows like $h^2$. At the dotted line some $z$
# changes its sign between the points, and no formula can help. `check_grad` finds a good $h$ by itself, for each
# parameter, and accepts only as much error as the rounding at that $h$ explains. A checker with a fixed $h$ and a fixed
# tolerance is either too strict for some functions, or so lax that mistakes of a percent slip through.
#
# <a id="mistakes"></a>
# ## 3. Three usual mistakes
#
# **The first: the wrong slope of the activation.** Written from habit, the mask of the plain ReLU:


# %%
def wrong_mask(params, x, importance):
    W1, W2 = params["W1"], params["W2"]
    h = x @ W1.T
    z = h @ W2.T + params["b"]
    y = np.where(z > 0, z, LEAK * z)
    dz = 2 * importance * (y - x) / len(x) * (z > 0)  # here
    dh = dz @ W2
    return {"W1": dh.T @ x, "W2": dz.T @ h, "b": dz.sum(axis=0)}


def verdict(backward, params, x, importance):
    """The error that the check raises, or None."""
    try:
        check_grad(
            lambda p: loss(p, x, importance),
            lambda p: backward(p, x, importance),
            params,
            kinks=lambda p: pre_activation(p, x),
        )
    except GradientError as problem:
        return problem


problem = verdict(wrong_mask, params, x, importance)
print(problem)

# %% tags=["check"]
assert problem.hints.get("W1") == "mask"

# %% [markdown]
# The first line has the place, the two numbers, and a cause where the pattern of the errors allows one. Then each wrong
# parameter with its worst entries. `kinks` is a function that gives the numbers with a corner at 0, here all $z$; with
# that the check can try what happens where every $z$ is positive.
#
# **The second: a sum in place of a mean.** The division by the batch is forgotten. **Predict.** Which parameters will
# be wrong, and by which factor?
#
# <details><summary>Answer</summary>
#
# All, since all get their share from dy, and by the batch size.
#
# </details>


# %%
def first_line(problem):
    return str(problem).splitlines()[0]


def sum_not_mean(params, x, importance):
    W1, W2 = params["W1"], params["W2"]
    h = x @ W1.T
    z = h @ W2.T + params["b"]
    y = np.where(z > 0, z, LEAK * z)
    dz = 2 * importance * (y - x) * np.where(z > 0, 1, LEAK)  # here
    dh = dz @ W2
    return {"W1": dh.T @ x, "W2": dz.T @ h, "b": dz.sum(axis=0)}


problem = verdict(sum_not_mean, params, x, importance)
print("batch", batch, "-", first_line(problem))

# %% tags=["check"]
assert problem.hints == {"W1": "factor", "W2": "factor", "b": "factor"}
assert np.isclose(problem.analytic / problem.numeric, batch)

# %% [markdown]
# **The third: a transpose.** $h^\top dz$ in place of $dz^\top h$. With $m = 2$ and $n = 4$ the shape gives it away.
# But with $m = n$ the shapes fit, everything runs, and the model learns nonsense.


# %%
def transposed(params, x, importance):
    right = backward(params, x, importance)
    return right | {"W2": right["W2"].T}  # `right`, but for W2; here: h.T @ dz


print("m = 2, n = 4:", first_line(verdict(transposed, params, x, importance)))
square = {
    "W1": rng.normal(size=(n, n)),
    "W2": rng.normal(size=(n, n)),
    "b": rng.normal(size=n),
}
problem = verdict(transposed, square, x, importance)
print("m = n = 4:   ", first_line(problem))

# %% tags=["check"]
assert problem.hints == {"W2": "transpose"}

# %% [markdown]
# And our own `backward`, which makes none of the three:

# %%
assert verdict(backward, params, x, importance) is None
assert verdict(backward, square, x, importance) is None
print("right")

# %% [markdown]
# <a id="kinks"></a>
# ## 4. Kinks
#
# At $z = 0$ the leaky ReLU has slope $\alpha$ on the left and 1 on the right. If a parameter makes some $z$ exactly 0,
# there is no gradient, and a check that said "right" or "wrong" would be talking nonsense. It says something else:

# %%
at_kink = {"W1": params["W1"], "W2": np.zeros((n, m)), "b": np.zeros(n)}  # every z is 0
try:
    check_grad(
        lambda p: loss(p, x, importance),
        lambda p: backward(p, x, importance),
        at_kink,
        kinks=lambda p: pre_activation(p, x),
    )
except NotDifferentiableError as problem:
    print(problem)
else:
    raise AssertionError("the check should have noticed the kink")

# %% [markdown]
# The remedy is to move the point, never to loosen the tolerance. Points such as "all zero" are where tests begin, and
# where Hypothesis ends when it simplifies a failing case, so you will meet this sooner than you think.
#
# <a id="prove"></a>
# ## 5. Prove it on cases you have not thought of
#
# One random point can be unlucky. Here is one where the wrong mask passes:

# %%
all_on = params | {"b": np.full(n, 10.0)}
print(
    "wrong mask, all z > 0:",
    verdict(wrong_mask, all_on, x, importance) or "no complaint",
)
assert verdict(wrong_mask, all_on, x, importance) is None

# %% tags=["check"]
assert (pre_activation(all_on, x) > 0).all()

# %% [markdown]
# So we need many points, of many shapes, with zeros and with equal numbers among them. That is what
# [Hypothesis](https://hypothesis.readthedocs.io) is for: it draws cases, and when one fails, it looks for the simplest
# one that fails too.
#
# First the smallest example. The function below claims something of one number $z$ (and something false: that the
# leaky ReLU is the plain one). The lines with @ above it, *decorators*, hand it to Hypothesis. From then on a call
# without arguments runs it again and again, each time with another $z$. What to draw, `st.integers(-100, 100)`, is a
# *strategy*.

# %%
from hypothesis import Phase, given, settings
from hypothesis import strategies as st


@settings(deadline=None)  # no limit of time for one case
@given(z=st.integers(-100, 100))
def leaky_is_relu(z):
    assert np.where(z > 0, z, LEAK * z) == max(z, 0), f"not so for z = {z}"


try:
    leaky_is_relu()
except AssertionError as problem:
    print(problem)
else:
    raise AssertionError("Hypothesis should have found a case")

# %% [markdown]
# Any $z$ below 0 refutes the claim, and of those we got the simplest. For a gradient, a case is more than one number.
# So below we put a strategy together: in `cases`, `draw` takes one value from a strategy, and `@st.composite` makes
# the whole a strategy too. `minitms.testing.strategies` knows how to draw weights, biases, batches and importances.
# The lines in `@settings` only say how to go about it; skip them at first.
#
# The simplest numbers are zeros, and that is where the kinks are. To set such cases aside would be to lose most.
# So the bias is drawn last, and away from its kinks: $z = a + b$ is 0 where $b = -a$, for each example. (With
# `strategies.arrays` the entries of an array differ too, which losses with a maximum or a sorting in them need.)

# %%
from minitms.testing import strategies


@st.composite
def cases(draw):
    """Parameters, batch and importance of fitting shapes."""
    m, n = draw(st.integers(1, 2)), draw(st.integers(1, 3))
    x, importance = draw(strategies.batches(n=n)), draw(strategies.importances(n=n))
    W1, W2 = draw(strategies.weights(m=m, n=n)), draw(strategies.weights(m=n, n=m))
    a = pre_activation({"W1": W1, "W2": W2, "b": np.zeros(n)}, x)
    b = draw(strategies.arrays(shape=n, kinks=-a))
    return {"W1": W1, "W2": W2, "b": b}, x, importance


def prove(backward, examples=30):
    """Check a backward pass on many cases: the simplest one's error, or None."""

    @settings(
        max_examples=examples,
        deadline=None,  # a case may take as long as it likes
        database=None,  # keep no file of failing cases
        derandomize=True,  # the same cases on each run
        report_multiple_bugs=False,  # one failing case is enough
        phases=(Phase.generate, Phase.shrink),  # draw, then look for a simpler one
    )
    @given(case=cases())
    def gradient_is_right(case):
        problem = verdict(backward, *case)
        if problem:
            problem.case = case  # to look at below
            raise problem

    try:
        gradient_is_right()
    except GradientError as problem:
        return problem


assert prove(backward) is None
print("our backward: no case found where it is wrong")

# %%
for wrong in (wrong_mask, sum_not_mean):
    problem = prove(wrong)
    assert problem is not None
    simplest, batch_of_it, _ = problem.case
    print(
        f"{wrong.__name__} fails with x {batch_of_it.tolist()} and",
        {k: v.tolist() for k, v in simplest.items()},
    )

# %% [markdown]
# These are the simplest failing cases that were found: small shapes, round numbers. A case like that can be followed
# with pen and paper, and it says something: the wrong mask, for instance, needs no more than a single $z$ below 0.
# To find them takes some seconds: that is the search for a simpler case. A test that passes takes less.
#
# Where rounding or jumps of the loss hide a slope, `check_grad` cannot tell, and says so by an `UnresolvedWarning`, at
# which a test stays green. `assert check_grad(...)` turns red there, since such a report counts as False. So does every
# check of a project with these lines in its `pyproject.toml` (without pytest: `warnings.filterwarnings`):
#
# ```toml
# [tool.pytest.ini_options]
# filterwarnings = ["error::minitms.testing.UnresolvedWarning"]
# ```
#
# (About the settings: leave `derandomize=True` out in your own tests, and new cases are tried each time.
# `deadline=None` matters wherever the first call compiles something.)
#
# <a id="torch"></a>
# ## 6. A function in PyTorch
#
# PyTorch differentiates by itself, except where somebody has written a `backward` by hand: a `torch.autograd.Function`.
# `check_grad` only sees NumPy arrays going in and out. The function below is the first draft that the authors of this
# tutorial wrote. **Predict.** Can you see what is wrong with it?
#
# <details><summary>Answer</summary>
#
# Of two plain Python numbers, `torch.where` makes a tensor of PyTorch's default type, float32. There 0.1 is
# 0.10000000149. So everything below zero is off by a relative $1.5 \cdot 10^{-8}$: too little for any tolerance that
# was chosen by feeling, and plain to see for one that follows the rounding.
#
# </details>

# %%
try:
    import torch
except ModuleNotFoundError:
    torch = None
    print("PyTorch is not installed: this part is skipped")

if torch:

    class Leaky(torch.autograd.Function):
        @staticmethod
        def forward(context, z):
            context.save_for_backward(z)
            return torch.where(z > 0, z, LEAK * z)

        @staticmethod
        def backward(context, dy):
            (z,) = context.saved_tensors
            return dy * torch.where(z > 0, 1.0, LEAK)

    def as_tensors(params):
        return {
            name: torch.tensor(value, requires_grad=True)
            for name, value in params.items()
        }

    def torch_loss(tensors):
        z = torch.tensor(x) @ tensors["W1"].T @ tensors["W2"].T + tensors["b"]
        return (
            (torch.tensor(importance) * (Leaky.apply(z) - torch.tensor(x)) ** 2)
            .sum(dim=1)
            .mean()
        )

    def torch_gradient(params):
        tensors = as_tensors(params)
        torch_loss(tensors).backward()
        return {name: tensor.grad.numpy() for name, tensor in tensors.items()}

    try:
        check_grad(lambda p: torch_loss(as_tensors(p)).item(), torch_gradient, params)
    except GradientError as problem:
        print(first_line(problem))
    else:
        raise AssertionError("the check should have found this")

# %% [markdown]
# Mended, and compared with our own as well:

# %%
if torch:

    def leaky_backward(context, dy):
        (z,) = context.saved_tensors
        return torch.where(z > 0, dy, LEAK * dy)

    Leaky.backward = staticmethod(leaky_backward)
    print(
        check_grad(lambda p: torch_loss(as_tensors(p)).item(), torch_gradient, params)
    )
    theirs, ours = torch_gradient(params), backward(params, x, importance)
    assert all(
        np.allclose(theirs[name], ours[name], rtol=1e-12, atol=1e-15) for name in ours
    )
else:
    print("PyTorch is not installed: this part is skipped")

# %% [markdown]
# <a id="numba"></a>
# ## 7. A function in Numba
#
# Compiled loops are where mistakes hide best: nothing checks an index, and no line looks like its equation. They are
# ordinary functions to the check. The first call compiles, the others are fast.


# %%
@numba.njit
def backward_loops(W1, W2, b, x, importance, leak):
    batch, n = x.shape
    m = W1.shape[0]
    dW1, dW2, db, h, dh = (
        np.zeros((m, n)),
        np.zeros((n, m)),
        np.zeros(n),
        np.zeros(m),
        np.zeros(m),
    )
    for e in range(batch):
        for k in range(m):
            h[k], dh[k] = 0, 0
            for i in range(n):
                h[k] += x[e, i] * W1[k, i]
        for i in range(n):
            z = b[i]
            for k in range(m):
                z += h[k] * W2[i, k]
            slope = 1 if z > 0 else leak
            dz = 2 * importance[i] * (slope * z - x[e, i]) / batch * slope
            db[i] += dz
            for k in range(m):
                dW2[i, k] += dz * h[k]
                dh[k] += dz * W2[i, k]
        for k in range(m):
            for i in range(n):
                dW1[k, i] += dh[k] * x[e, i]
    return dW1, dW2, db


def backward_numba(params, x, importance):
    gradients = backward_loops(
        params["W1"], params["W2"], params["b"], x, importance, LEAK
    )
    return dict(zip(("W1", "W2", "b"), gradients, strict=True))


print(
    check_grad(
        lambda p: loss(p, x, importance),
        lambda p: backward_numba(p, x, importance),
        params,
    )
)
assert prove(backward_numba) is None

# %% [markdown]
# <a id="vary"></a>
# ## 8. What to vary
#
# - `LEAK = 0`, parts 1 to 4: which model is that? Does `backward` still pass in part 3? Is `wrong_mask` still wrong?
# - Scale the loss *and* the gradient by 1e-6, or by 1e6: does the check still tell right from wrong?
# - Add a mistake of 0.1 % to a single entry of dW1. Is it found?
# - Leave `kinks` out of `verdict`. Which message changes?
#
# The `assert` lines hold for the settings as they are (the numbers by hand are for $\alpha = 0.1$). If one stops you,
# put a # in front of it.
#
# <a id="exercises"></a>
# ## 9. Exercises
#
# Fill in each function and run the cell below it, which says "not yet" or "solved".


# %%
def named(pair):
    """The pair dW, db as a dict, as `check_grad` wants it."""
    if not isinstance(pair, (tuple, list)) or len(pair) != 2:
        raise TypeError("expected the pair dW, db")
    return {"W": pair[0], "b": pair[1]}


def attempt(check, answer):
    """Say whether an answer is right, and if not yet, what is missing."""
    try:
        check(answer)
    except Exception as problem:
        print("not yet.", problem)
    else:
        print("solved!")


# %% [markdown]
# **Exercise 1.** A smooth activation: $y = \mathrm{softplus}(z) = \log(1 + e^z)$, with one $W$ for both uses,
# $z = x W^\top W + b$. Write its backward pass.
#
# <details><summary>Hint</summary>
#
# The derivative of $\log(1 + e^z)$ is $e^z / (1 + e^z) = 1 / (1 + e^{-z})$. All else is as in tutorial 2. Remember the
# two paths.
#
# </details>


# %%
def backward_softplus(W, b, x, importance):
    """The pair dW, db for the loss mean of sum_i I_i (softplus(z_i) - x_i)²."""
    raise NotImplementedError


# %%
def check_backward_softplus(backward_softplus):
    def softplus_loss(p):
        y = np.logaddexp(0, x @ p["W"].T @ p["W"] + p["b"])
        return (importance * (y - x) ** 2).sum(axis=1).mean()

    for m in (1, 2, 4):
        check_grad(
            softplus_loss,
            lambda p: named(backward_softplus(p["W"], p["b"], x, importance)),
            {"W": rng.normal(size=(m, n)), "b": rng.normal(size=n)},
        )


attempt(check_backward_softplus, backward_softplus)

# %% [markdown]
# **Exercise 2.** The model of section 7 of the paper has a second ReLU, on the hidden values:
# $h = \mathrm{ReLU}(x W^\top)$, $y = \mathrm{ReLU}(h W + b)$. A colleague wrote the backward pass below. Find out with
# `check_grad` where it is wrong, and mend it.
#
# <details><summary>Hint</summary>
#
# `attempt(check_mended, colleague)`, below the check, shows what it says of the colleague. Then follow the derivative
# from $y$ back to $W$, and note each ReLU on the way. Is there one mask for each?
#
# </details>


# %%
def hidden_relu_loss(W, b, x, importance):
    y = np.maximum(np.maximum(x @ W.T, 0) @ W + b, 0)
    return (importance * (y - x) ** 2).sum(axis=1).mean()


def colleague(W, b, x, importance):
    h = np.maximum(x @ W.T, 0)
    z = h @ W + b
    dz = 2 * importance * (np.maximum(z, 0) - x) / len(x) * (z > 0)
    dh = dz @ W.T
    return h.T @ dz + dh.T @ x, dz.sum(axis=0)


def mended(W, b, x, importance):
    """The pair dW, db for `hidden_relu_loss`."""
    raise NotImplementedError


# %%
def check_mended(mended):
    for m in (1, 2, 4):
        check_grad(
            lambda p: hidden_relu_loss(p["W"], p["b"], x, importance),
            lambda p: named(mended(p["W"], p["b"], x, importance)),
            {"W": rng.normal(size=(m, n)), "b": rng.normal(size=n)},
            kinks=lambda p: (
                x @ p["W"].T,
                np.maximum(x @ p["W"].T, 0) @ p["W"] + p["b"],
            ),
        )


attempt(check_mended, mended)

# %% [markdown]
# **Exercise 3.** Write a small checker yourself: the gradient of any function of one array, measured entry by entry.
#
# <details><summary>Hint</summary>
#
# Loop over `np.ndindex(w.shape)`. Change one entry of a copy by +h and by -h. For these functions $h = 10^{-5}$ is a
# fair choice (look at the picture in part 2).
#
# </details>


# %%
def measured_gradient(f, w):
    """The gradient of f at w, by central differences, in w's shape; w is unchanged."""
    raise NotImplementedError


# %%
def check_measured_gradient(measured_gradient):
    w = rng.normal(size=(3, 2))
    before = w.copy()
    got = measured_gradient(lambda w: np.sin(w).sum() + w[0, 0] * w[2, 1], w)
    expected = np.cos(w)
    expected[0, 0] += w[2, 1]
    expected[2, 1] += w[0, 0]
    assert np.shape(got) == w.shape, (
        f"the result has shape {np.shape(got)}; expected {w.shape}"
    )
    assert (w == before).all(), "w was changed: work on a copy"
    assert not np.allclose(got, 2 * expected), "twice too large: how far is +h from -h?"
    error = abs(got - expected).max()
    assert error < 1e-8, (
        f"the largest error is {error:.1e}; central differences can be below 1e-8"
    )


attempt(check_measured_gradient, measured_gradient)

# %% [markdown]
# **Next:** use it on your own code. [4. Phase changes](04_phase_changes.ipynb) is the last tutorial about
# superposition.

# %% [markdown]
# # 2. The gradient by hand
#
# To train a model is to nudge each weight in the direction in which the loss falls. That direction is the *gradient*.
# Most code leaves it to a library that differentiates by itself. Here we write it out, from a single number up to the
# matrices, and let `check_grad` prove each stage right.
#
# **You will be able to**
# - derive the gradient of the model by the chain rule, and say what "two paths through W" means;
# - say what the ReLU does to a gradient;
# - write the whole backward pass in seven lines of NumPy, and prove it right;
# - train with Adam, written by yourself;
# - explain why a compiled loop is slow at the first call and fast from then on.
#
# **You need** [tutorial 0](00_start_here.ipynb), the chain rule, and the product of two matrices.
#
# **Contents**: [one number](#one), [two features, one neuron](#two), [matrices](#matrices), [prove it](#prove),
# [Adam](#adam), [train](#train), [the same, fast](#fast), [what to vary](#vary), [exercises](#exercises).
# Reading takes about 30 minutes; the [map](README.md) says how long the cells run, and has a glossary.
#
# **Letters and shapes**: d*thing* is always the derivative of the loss by that thing, and has the thing's shape.
#
# | letter | what it is | shape |
# | --- | --- | --- |
# | $x$, $z$, $y$ and $dz$, $dy$ | input, before the ReLU, output, and derivatives | (batch, n) |
# | $h$ and $dh$ | hidden values | (batch, m) |
# | $W$ and $dW$ | weights, $W_i$ is column $i$ | (m, n) |
# | $b$ and $db$ | bias | (n,) |
# | $I$ | importance | (n,) |
# | $L$ | loss | a number |
# | $\eta$, $t$ | learning rate (`rate` in the code), step number from 1 | numbers |
# | $g$, $p$, $q$ | in Adam: a gradient ($dW$ or $db$), running means of it and of its square | that of $W$ or $b$ |

# %%
try:
    import minitms as tms
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "minitms is missing; in a clone of its repository run: pip install -e ."
    ) from error

import time

import matplotlib.pyplot as plt
import numba
import numpy as np

from minitms import plots
from minitms.testing import GradientError, check_grad

plt.style.use(plots.STYLE)
rng = np.random.default_rng(0)

# %% [markdown]
# <a id="one"></a>
# ## 1. One number
#
# The smallest model has one feature, one weight and no ReLU. The weight is used **twice**: once to store (*encode*) and
# once to read out (*decode*).
#
# $h = w x$, then $z = h w + b = w^2 x + b$, and $y = z$. The loss is $L = (y - x)^2$.
#
# Take $x = 1$, $w = 0.5$, $b = 0.1$. Forward: $h = 0.5$, $z = 0.25 + 0.1 = 0.35$, $L = (0.35 - 1)^2 = 0.4225$.
#
# Now backward, one step at a time, each the derivative of one of the equations above:
#
# | what | why | number |
# | --- | --- | --- |
# | $dy = 2 (y - x)$ | $L = (y - x)^2$ | $2 \cdot (-0.65) = -1.3$ |
# | $dz = dy$ | $y = z$ | -1.3 |
# | $db = dz$ | $z = h w + b$, by $b$ | -1.3 |
# | path 1, decode: $h \cdot dz$ | $z = h w + b$, by the $w$ that reads out | $0.5 \cdot (-1.3) = -0.65$ |
# | $dh = dz \cdot w$ | $z = h w + b$, by $h$ | $-1.3 \cdot 0.5 = -0.65$ |
# | path 2, encode: $dh \cdot x$ | $h = w x$, by the $w$ that stores | $-0.65 \cdot 1 = -0.65$ |
# | $dw$ = path 1 + path 2 | one and the same $w$: move it, and both changes add up | -1.3 |
#
# **Predict.** Differentiate $L = (w^2 x + b - x)^2$ by $w$ directly. Do you get the same?
#
# <details><summary>Answer</summary>
#
# $2 (w^2 x + b - x) \cdot 2 w x = 2 \cdot (-0.65) \cdot 2 \cdot 0.5 \cdot 1 = -1.3$. The 2 in $2 w$ is the two paths.
#
# </details>

# %% [markdown]
# And a third way, which knows no calculus: move $w$ a little to both sides and see how the loss changes.

# %%
x, w, b = 1.0, 0.5, 0.1


def L(w):
    return (w**2 * x + b - x) ** 2


step = 1e-5
numeric = (L(w + step) - L(w - step)) / (2 * step)
print(f"L = {L(w):.4f}, slope measured {numeric:.6f}")

# %% tags=["check"]
assert np.isclose(L(w), 0.4225)
assert np.isclose(numeric, -1.3)

# %%
fig, ax = plt.subplots(figsize=(5, 3))
ws = np.linspace(0, 1.2, 200)
ax.plot(ws, L(ws), label="loss L(w)")
near = np.linspace(0.25, 0.75, 2)
ax.plot(near, L(w) - 1.3 * (near - w), label="slope -1.3, both paths")
ax.plot(near, L(w) - 0.65 * (near - w), "--", label="slope -0.65, one path only")
ax.plot(w, L(w), "ko")
ax.set(xlabel="weight w", ylabel="loss", title="The slope has to touch the curve")
ax.legend()
plt.show()

# %% [markdown]
# Forgetting one of the two paths is the classic mistake with this model. Nothing crashes: here the step is half as
# long and still leads downhill, so the training looks healthy. With many weights it leads elsewhere. That is why we
# check.
#
# <a id="two"></a>
# ## 2. Two features, one neuron, and the ReLU
#
# Now $n = 2$, $m = 1$, with a ReLU: $W = [1, -0.5]$, $b = [0.1, 0]$, a single example $x = [0.6, 0.3]$, importance 1.
# We count from 0, as Python does: $W_0 = 1$ belongs to feature 0 and $W_1 = -0.5$ to feature 1.
#
# Forward:
# - $h = 1 \cdot 0.6 + (-0.5) \cdot 0.3 = 0.45$
# - $z = [0.45 \cdot 1 + 0.1, 0.45 \cdot (-0.5) + 0] = [0.55, -0.225]$
# - $y = \mathrm{ReLU}(z) = [0.55, 0]$
#
# Backward: what does the ReLU do? Where $z > 0$ it passes $z$ on: slope 1. Where $z < 0$ its output is 0 whatever $z$
# does: slope 0. So it lets the derivative through, or stops it:
# - $dy = 2 (y - x) = [-0.1, -0.6]$
# - **$dz = dy$ where $z > 0$, else 0** = [-0.1, 0], and $db = dz$
#
# **Predict.** Output 1 is off, so its $dz$ is 0. Is the derivative by $W_1$, the weight of feature 1, zero too?
#
# <details><summary>Answer</summary>
#
# No. In decoding $W_1$ is cut off, but it also encodes: it changes $h$, and $h$ reaches output 0, which is on.
#
# - decode: $h \cdot dz = [0.45 \cdot (-0.1), 0] = [-0.045, 0]$
# - $dh = dz \cdot W = -0.1 \cdot 1 + 0 = -0.1$
# - encode: $dh \cdot x = [-0.1 \cdot 0.6, -0.1 \cdot 0.3] = [-0.06, -0.03]$
# - $dW = [-0.105, -0.03]$
#
# </details>

# %%
W, b, x = np.array([[1.0, -0.5]]), np.array([0.1, 0.0]), np.array([[0.6, 0.3]])
dW, db = tms.backward(W, b, x, importance=1.0, activation="relu")
print("dW =", dW, " db =", db)

# %% tags=["check"]
assert np.allclose(dW, [[-0.105, -0.03]])
assert np.allclose(db, [-0.1, 0])

# %% [markdown]
# At exactly $z = 0$ the ReLU has a corner and no slope at all. The library takes 0 there, as nearly everyone does.
#
# <a id="matrices"></a>
# ## 3. A whole batch: matrices
#
# With many examples nothing new happens, each row of $x$ goes its way. Two rules turn the steps above into matrices:
#
# - **Shapes tell where things go.** $dW$ has the shape of $W$, (m, n). From $h$ (batch, m) and $dz$ (batch, n) there
#   is one way to get it: $h^\top dz$. This product also sums over the batch, as it should: all examples share $W$.
# - The loss is a mean over the batch with importance $I$, so $dy = 2 I (y - x)$ / batch.
#
# In the table $[z > 0]$ means 1 where $z > 0$ and 0 elsewhere: the *mask* of the ReLU.
#
# | forward | backward, from the bottom up |
# | --- | --- |
# | $h = x W^\top$ | encode path: $dh^\top x$, shape (m, batch) times (batch, n) |
# | $z = h W + b$ | $dh = dz W^\top$; decode path: $h^\top dz$; $db$ = sum of the rows of $dz$ |
# | $y = \mathrm{ReLU}(z)$ | $dz = dy \cdot [z > 0]$ |
# | $L$ = mean of sum $I (y - x)^2$ | $dy = 2 I (y - x)$ / batch |


# %%
def my_backward(W, b, x, importance):
    h = x @ W.T
    z = h @ W + b
    y = np.maximum(z, 0)

    dy = 2 * importance * (y - x) / len(x)  # (batch, n)
    dz = dy * (z > 0)  # the mask of the ReLU
    db = dz.sum(axis=0)  # (n,)
    dW_decode = h.T @ dz  # (m, n), W reads out
    dh = dz @ W.T  # (batch, m)
    dW_encode = dh.T @ x  # (m, n), W stores
    return dW_decode + dW_encode, db


features = tms.SparseFeatures(n=5, density=0.4, importance=0.9 ** np.arange(5))
importance = features.importance
W, b, x = rng.normal(size=(2, 5)), 0.1 * rng.normal(size=5), features.sample(32, seed=0)

mine, library = my_backward(W, b, x, importance), tms.backward(W, b, x, importance)
print(
    "largest difference from the library:",
    max(abs(m - t).max() for m, t in zip(mine, library, strict=True)),
)
assert all(
    np.allclose(m, t, rtol=1e-12, atol=1e-15)
    for m, t in zip(mine, library, strict=True)
)

# %% [markdown]
# Read `_layers` and `_backward` in [minitms/model.py](../minitms/model.py) now. You know the lines. What is new in
# them (`.mT` for `.T`, and `...`) lets them work on a whole stack of models at once, and serves the paper's other
# models: the hidden layer may have a ReLU $f$ as well, and $E$, the $W$ that encodes, may differ from $D$, the $W$
# that decodes.
#
# <a id="prove"></a>
# ## 4. Prove it
#
# Agreeing with the library proves little if the library is wrong. `check_grad` needs only the loss. It moves the
# parameters a little to both sides, as we did with $w$, and compares. Parameters that belong together go into a dict.


# %%
def loss(params):
    return tms.loss(params["W"], params["b"], x, importance)


def gradient(params):
    dW, db = my_backward(params["W"], params["b"], x, importance)
    return {"W": dW, "b": db}


print(check_grad(loss, gradient, {"W": W, "b": b}))

# %% [markdown]
# All entries of a parameter are moved at once, in a random direction. For each parameter: how far the slope of the loss
# is from what the gradient says (*error*), how much may be put down to rounding (*tolerance*), how large a slope is to
# be expected (*slope*), and how far the parameter was moved (*step*).
#
# Now drop one of the two paths and read what the check says. The first line names the place. *Analytic* is what the
# gradient claims, *numeric* what was measured; first in a random direction, as above. Then come the entries with the
# largest part in the error of that slope: *relative* is the error divided by the larger of the two numbers, *ratio* is
# analytic / numeric.


# %%
def one_path_only(params):
    W, b = params["W"], params["b"]
    h = x @ W.T
    z = h @ W + b
    dz = 2 * importance * (np.maximum(z, 0) - x) / len(x) * (z > 0)
    return {"W": h.T @ dz, "b": dz.sum(axis=0)}


try:
    check_grad(loss, one_path_only, {"W": W, "b": b})
except GradientError as problem:
    print(problem)
else:
    raise AssertionError("the check should have found this")

# %% [markdown]
# <a id="adam"></a>
# ## 5. Adam: from a gradient to a step
#
# Plain descent would move each weight by $-\eta$ times its gradient. *Adam* gives each weight a step of about the same
# length, $\eta$, whatever the size of its gradient. It keeps two running means, of the gradient $g$ and of its square:
#
# - $p \leftarrow 0.9 p + 0.1 g$
# - $q \leftarrow 0.999 q + 0.001 g^2$
# - $w \leftarrow w - \eta \cdot (p / (1 - 0.9^t)) / (\sqrt{q / (1 - 0.999^t)} + 10^{-8})$
#
# The divisions by $1 - 0.9^t$ and $1 - 0.999^t$ make up for $p$ and $q$ starting at 0, and $10^{-8}$ prevents a
# division by 0. Where $g$ keeps changing its sign, $p$ averages that away and the steps get shorter. (In `tms.train` a
# `schedule` lets $\eta$ fall during the training: `"cosine"`, the default, goes to 0 along half a wave, `"constant"`
# not at all.) Kingma and Ba, and the code of the library, call the two means $m$ and $v$.
#
# **Predict.** At the first step, $t = 1$, how far does a weight with $g = 0.02$ move if $\eta = 0.01$? And one with
# $g = -300$?
#
# <details><summary>Answer</summary>
#
# $p / (1 - 0.9) = 0.1 g / 0.1 = g$, and $\sqrt{q / (1 - 0.999)} = \sqrt{g^2} = \lvert g\rvert$. So each moves by
# $\eta \cdot g / \lvert g\rvert = 0.01$, against the sign of its gradient: the first by -0.01, the second by +0.01.
#
# </details>


# %%
def adam(w, g, p, q, t, rate):
    """One step of Adam: the new w, p and q. All four arrays have one shape."""
    p = 0.9 * p + 0.1 * g
    q = 0.999 * q + 0.001 * g**2
    return w - rate * (p / (1 - 0.9**t)) / (np.sqrt(q / (1 - 0.999**t)) + 1e-8), p, q


zero, g = np.zeros(2), np.array([0.02, -300.0])
moved, _, _ = adam(zero, g, zero, zero, t=1, rate=0.01)
print("moved by", moved)

# %% tags=["check"]
assert np.allclose(moved, [-0.01, 0.01])

# %% [markdown]
# <a id="train"></a>
# ## 6. Train
#
# Backward and Adam are all there is. The loop: draw a batch, take the gradient, make a step. The first step of the
# library is the same as ours to the last digits, since the same seed draws the same examples. After that we draw
# batches of our own.

# %%
features = tms.SparseFeatures(n=5, density=0.1, importance=0.9 ** np.arange(5))
W0, b0 = 0.5 * rng.normal(size=(2, 5)), np.zeros(5)
rate, steps, batch = 1e-2, 1500, 512

W, b = W0, b0
pW, qW, pb, qb = 0 * W, 0 * W, 0 * b, 0 * b
losses = np.empty(steps)
after = {}  # W and b after some of the steps
for t in range(1, steps + 1):
    x = features.sample(batch, seed=t - 1)
    losses[t - 1] = tms.loss(W, b, x, features.importance)
    dW, db = my_backward(W, b, x, features.importance)
    W, pW, qW = adam(W, dW, pW, qW, t, rate)
    b, pb, qb = adam(b, db, pb, qb, t, rate)
    if t in (1, 100):
        after[t] = W, b

settings = {
    "batch_size": batch,
    "learning_rate": rate,
    "schedule": "constant",  # η does not fall
    "restarts": 1,  # train one model; more about this in tutorial 1
    "initial": (W0, b0),  # start where we did, not at random weights
    "seed": 0,
    "dtype": "float64",  # the precision of NumPy; the default, float32, is faster
}
# **settings hands over all of these as named arguments.
one_step = tms.train(features, n_hidden=2, steps=1, **settings)
# W[0] is the first restart, and here the only one.
difference = abs(one_step.W[0] - after[1][0]).max()
print("largest difference after one step:", difference)
assert difference < 1e-12


def exact(W, b):
    """The mean loss over all possible examples, worked out without sampling."""
    return tms.expected_loss(W, b, features.density, features.importance)


run = tms.train(features, n_hidden=2, steps=steps, **settings)
start, early = exact(W0, b0), exact(*after[100])  # * hands over W and b
ours, theirs = exact(W, b), exact(run.W[0], run.b[0])
print(f"exact loss at the start {start:.4f}, after 100 steps {early:.4f},")
print(f"after {steps} steps {ours:.4f}; the library's {theirs:.4f}")

# %% tags=["check"]
assert abs(ours / theirs - 1) < 0.05
assert ours < 0.5 * start
assert abs(early / ours - 1) < 0.05  # after step 100 hardly anything happens

# %%
fig, ax = plt.subplots(figsize=(5, 3))
ax.plot(
    np.arange(1, steps + 1),
    losses,
    color="0.75",
    linewidth=0.7,
    label="ours, each batch",
)
# The library keeps the loss of at most 200 batches, spread evenly over the training.
plots.loss_curve(
    ax, run.steps, run.history[0], label="the library, 200 of its batches", color="C1"
)
ax.plot(
    np.arange(25, steps, 50),
    losses.reshape(-1, 50).mean(axis=1),  # 50 batches in each row
    "k",
    label="ours, mean of 50 batches",
)
ax.legend()
plt.show()

# %% tags=["check"]
assert len(run.steps) == 200

# %% [markdown]
# The loss is drawn on a logarithmic axis. Why is the curve flat after about 100 steps? The descent is over: the exact
# loss after 100 steps is nearly that at the end. What is left is the price of sharing, since five features in two
# dimensions disturb each other ([tutorial 1](01_introduction.ipynb)). The zigzag is the luck of the draw: every batch
# holds other examples.
#
# <a id="fast"></a>
# ## 7. The same, fast
#
# (About Numba, not about gradients: skip it if you like.) NumPy is quick because its loops are *compiled*: translated
# into the processor's own instructions. But each line of `my_backward` makes a pass over memory and a new array for
# the result, and with a small batch much of the time is Python's own bookkeeping. The remedy is one loop over the
# examples in which everything stays in the processor, and *Numba*, a compiler for Python functions, to translate it.
# In Python the loop reads like this, each line one of those above:


# %%
def backward_loops(W, b, x, importance):
    batch, n = x.shape
    m = W.shape[0]
    dW, db, h, dh = np.zeros((m, n)), np.zeros(n), np.zeros(m), np.zeros(m)
    for e in range(batch):
        for k in range(m):
            h[k], dh[k] = 0, 0
            for i in range(n):
                h[k] += x[e, i] * W[k, i]  # h = x Wᵀ
        for i in range(n):
            z = b[i]
            for k in range(m):
                z += h[k] * W[k, i]  # z = h W + b
            if z > 0:  # the mask
                dz = 2 * importance[i] * (z - x[e, i]) / batch  # y = z here
                db[i] += dz
                for k in range(m):
                    dW[k, i] += h[k] * dz  # hᵀ dz
                    dh[k] += dz * W[k, i]  # dh = dz Wᵀ
        for k in range(m):
            for i in range(n):
                dW[k, i] += dh[k] * x[e, i]  # dhᵀ x
    return dW, db


# Marks the function for compilation, which has not happened yet.
backward_jitted = numba.njit(backward_loops)

# %% [markdown]
# **Predict.** Order by time: the loops in Python; the same compiled, first call; the same, second call; NumPy.
#
# <details><summary>Answer</summary>
#
# Slowest is the first call of the compiled loops: Numba looks at the types of the arguments and translates the function
# for them, which takes its time whatever the batch. Then come the loops in Python, then NumPy, and fastest is the
# second call of the compiled ones. The cell prints times rounded to powers of ten, since the rest depends on your
# machine. (Run it twice and its first call is fast too; the cell above, run again, makes a function not yet compiled.)
#
# </details>


# %%
def about(seconds):
    """A time, rounded to a power of ten."""
    exponent = round(np.log10(seconds))
    return f"about {10 ** (exponent % 3)} {['ns', 'µs', 'ms', 's'][exponent // 3 + 3]}"


def timed(function, repeats=1):
    """The shortest time of a few calls, in seconds."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function(W, b, x, features.importance)
        times.append(time.perf_counter() - start)
    return min(times)


x = features.sample(256, seed=0)
print("loops in Python:                 ", about(timed(backward_loops, 3)))
print("loops compiled by Numba, 1st call:", about(timed(backward_jitted)))
print("loops compiled by Numba, 2nd call:", about(timed(backward_jitted, 100)))
print("NumPy, my_backward:               ", about(timed(my_backward, 100)))

many = timed(my_backward, 100)
x = features.sample(1, seed=0)
one = timed(my_backward, 100)
print(f"NumPy takes {many / one:.0f} times as long for 256 examples as for 1")

x = features.sample(256, seed=0)
compiled, matrices = (
    function(W, b, x, features.importance)
    for function in (backward_jitted, my_backward)
)
assert np.allclose(compiled[0], matrices[0])
assert np.allclose(compiled[1], matrices[1])

# %% [markdown]
# Why is the second call so fast? For 256 times the examples NumPy needs far less than 256 times as long: much of its
# time goes to the bookkeeping of each call, however little there is to compute. In the compiled loops no Python is
# left: no objects, no look-ups, no new arrays as long as the batch. $h$ stays in the processor, in its own small
# memory, from the moment it is computed until it is used for the last time. The compiled loops of the library do more,
# above all:
#
# - they draw the random examples some hundred at a time, right where they are used, and never keep them
#   ([fast/draws.py](../minitms/fast/draws.py));
# - they turn the order around, so that the innermost loop runs over *examples*: then the processor does several of them
#   with one instruction ([fast/gradient.py](../minitms/fast/gradient.py));
# - where few features are on, they compute with these alone ([fast/gram.py](../minitms/fast/gram.py)).
#
# [A table](../minitms/fast/README.md) says which line of the readable code each file repeats.
#
# A fast program that computes something else is worth nothing. So the library keeps both: `engine="numpy"` is the loop
# you can read, `engine="numba"` the fast one, and given the same seed they take the same path.

# %%
both = {}
for engine in ("numpy", "numba"):
    both[engine] = tms.train(
        features,
        n_hidden=2,
        steps=300,
        batch_size=1024,
        learning_rate=1e-2,
        seed=0,
        restarts=4,
        engine=engine,
        dtype="float64",
    )
difference = abs(both["numpy"].W - both["numba"].W).max()
print(f"after 300 steps of 4 models the largest difference in W is {difference:.1e}")
assert difference < 1e-9

# %% [markdown]
# <a id="vary"></a>
# ## 8. What to vary
#
# - Plant other mistakes in part 4: leave out the mask, the 2, the division by the batch. What does the check say?
# - Batches of 16 and of 16384 in part 7, with the times not rounded (print what `timed` returns, without `about`): how
#   much faster than NumPy are the compiled loops?
# - `rate` in part 6: 1e-3, 1e-1. What does the loss curve look like?
#
# <details><summary>What you will see</summary>
#
# - Without the 2 or the division the check names the cause: the right gradient times 1/2, "a forgotten 2 of a square?",
#   or times 32, the batch, "a sum in place of a mean?". Without the mask no single factor fits. It says that all
#   entries are wrong, by ratios from -1.6 to 3.1.
# - On our machine, with a single thread, 7 times as fast for a batch of 16, 4 times for 256, and 1.6 times for 16384.
#   The more examples there are in a call, the less does NumPy's bookkeeping matter.
# - With `1e-3` it goes downhill for about 1,000 steps rather than 100, to the same level. With `1e-1` it gets there
#   within 50 steps, but ends a little higher, at an exact loss of 0.0224 in place of 0.0215: steps that do not get
#   smaller keep throwing the weights about.
#
# </details>
#
# <a id="exercises"></a>
# ## 9. Exercises
#
# Fill in each function and run the cell below it, which says "not yet" or "solved".


# %%
def attempt(check, answer):
    """Say whether an answer is right, and if not yet, what is missing."""

    def given(*inputs):
        result = answer(*inputs)
        assert result is not None, (
            "the function gives nothing back: end it with `return` and the result"
        )
        return result

    try:
        check(given)
    except Exception as problem:
        print("not yet.", str(problem) or "Fill in the function first.")
    else:
        print("solved!")


# %% [markdown]
# **Exercise 1.** Write the backward pass of the *linear* model, $y = z$. (Which two lines of `my_backward` change?)
#
# <details><summary>Hint</summary>
#
# $y = z$, so $dz = dy$, and in the forward part there is no `np.maximum`.
#
# </details>


# %%
def backward_linear(W, b, x, importance):
    """The pair dW, db for y = x Wᵀ W + b."""
    raise NotImplementedError


# %%
def check_backward_linear(backward_linear):
    rng = np.random.default_rng(7)  # some outputs are negative, some are not
    x, importance = rng.random((7, 4)), rng.random(4)
    W, b = rng.normal(size=(2, 4)), rng.normal(size=4)
    _, db = backward_linear(W, b, x, importance)
    assert not np.allclose(db, my_backward(W, b, x, importance)[1]), (
        "this is the gradient with the ReLU: y = z has no mask"
    )
    check_grad(
        lambda p: tms.loss(p["W"], p["b"], x, importance, activation="linear"),
        lambda p: dict(
            zip(("W", "b"), backward_linear(p["W"], p["b"], x, importance), strict=True)
        ),
        {"W": W, "b": b},
    )


attempt(check_backward_linear, backward_linear)

# %% [markdown]
# **Exercise 2.** Add a penalty on large weights to the loss: $L + \lambda \cdot$ (sum of all $W^2$). The number
# $\lambda$, the same for all weights, is the argument `penalty`. Write the gradient, with the ReLU.
#
# <details><summary>Hint</summary>
#
# Derivatives of sums are sums of derivatives. Only one of dW and db changes. You may call `my_backward`.
#
# </details>


# %%
def backward_with_penalty(W, b, x, importance, penalty):
    """The pair dW, db of the loss with the ReLU + penalty * (W**2).sum()."""
    raise NotImplementedError


# %%
def check_backward_with_penalty(backward_with_penalty):
    rng = np.random.default_rng(7)  # some outputs are off, some are on
    x, importance, penalty = rng.random((7, 4)), rng.random(4), 0.3
    check_grad(
        lambda p: (
            tms.loss(p["W"], p["b"], x, importance) + penalty * (p["W"] ** 2).sum()
        ),
        lambda p: dict(
            zip(
                ("W", "b"),
                backward_with_penalty(p["W"], p["b"], x, importance, penalty),
                strict=True,
            )
        ),
        {"W": rng.normal(size=(2, 4)), "b": rng.normal(size=4)},
    )


attempt(check_backward_with_penalty, backward_with_penalty)

# %% [markdown]
# **Exercise 3.** An adversary does not touch the weights; she changes the *input* $x$ a little so that the loss grows
# as much as possible. Write $dx$, the gradient of the loss by $x$, with the ReLU. Careful: $x$ enters in two places.
#
# <details><summary>Hint</summary>
#
# $x$ is what the model sees ($h = x W^\top$ gives $dh\, W$) and also what the output is compared with ($L$ = sum of
# $I (y - x)^2$, where the derivative by that $x$ is $-dy$).
#
# </details>


# %%
def gradient_by_x(W, b, x, importance):
    """dx of shape (batch, n), for y = ReLU(x Wᵀ W + b)."""
    raise NotImplementedError


# %%
def check_gradient_by_x(gradient_by_x):
    rng = np.random.default_rng(7)  # some outputs are off, some are on
    W, b, importance = rng.normal(size=(2, 4)), rng.normal(size=4), rng.random(4)
    x = rng.random((7, 4))
    y = tms.forward(W, b, x)
    dy = 2 * importance * (y - x) / len(x)
    through_the_model, got = dy * (y > 0) @ W.T @ W, gradient_by_x(W, b, x, importance)
    assert not np.allclose(got, through_the_model), "x stands in y - x as well: one place is missing"
    assert not np.allclose(got, -dy), "the model sees x as well: one place is missing"
    assert not np.allclose(got, through_the_model + dy), "right but for a sign: it is y - x, minus x"
    check_grad(
        lambda p: tms.loss(W, b, p["x"], importance),
        lambda p: {"x": gradient_by_x(W, b, p["x"], importance)},
        {"x": x},
    )


attempt(check_gradient_by_x, gradient_by_x)

# %% [markdown]
# **Next:** [3. Demonstrating superposition](03_demonstrating_superposition.ipynb). Or, if you write backward passes of
# your own, [5. Check your own gradients](05_check_your_own_gradients.ipynb).

"""Two features, one neuron, no sampling: the jitted voice of `minitms.expected`, and Newton's method on top of it.

For n = 2 and m = 1 output i sees z = a x + c t + b, where x is its own feature and t the other one:

    a = w_i²        c = w_1 w_2        b = b_i        target x

and its error is averaged over four cases of known probability (nothing on, itself alone, the other alone, both on):

    F = p_none ReLU(b)² + p_own P(b) + p_other Q + p_both ∫ P(b + c t) dt        over t in [0, 1]
    P(d) = ∫ (ReLU(a x + d) - x)² dx                                             over x in [0, 1]
    Q    = ∫ ReLU(c t + b)² dt

    L(w_1, w_2, b_1, b_2) = I_1 F(w_1², w_1 w_2, b_1) + I_2 F(w_2², w_1 w_2, b_2)

P and Q have closed forms. P is piecewise in d, with pieces that meet where z = 0 reaches x = 0 or x = 1; on each piece
it is a cubic, so two Gauss-Legendre nodes between the kinks t = -b/c and t = -(a + b)/c make the last integral exact.
The pattern of the features enters through the four probabilities alone, so one kernel serves every pattern.

The loss has a continuous gradient (except where an output is dead, w_i = b_i = 0) and a Hessian that is continuous
piece by piece. Newton's method takes steps (H + λ 1)⁻¹ g, where λ grows until the matrix is positive definite and the
loss falls as predicted: a trust region in Levenberg's form. Each model is the work of one thread, in a fixed order.
"""

from __future__ import annotations

import math

import numpy as np

from minitms.fast.jit import inner, kernel

NODE = 0.5 - math.sqrt(1 / 12)  # of the two-point Gauss-Legendre rule on [0, 1]; the other is 1 - NODE
TOLERANCE = 1e-10               # on max |gradient|, relative to the loss of the model that answers 0
ACCEPT = 1e-4                   # least share of the predicted decrease that a step must bring
ROUNDING = 1e-15                # a relative change of the loss below this is rounding
SMALLEST = 1e-300               # of a damping that is not 0


@kernel(fastmath=False)
def own_error(a, d, relu):
    """P(d) = ∫ (ReLU(a x + d) - x)² dx over [0, 1] for a >= 0, with its derivatives by (a, d).

    Returns P, P_a, P_d, P_aa, P_ad, P_dd.
    """
    start = 0.0                     # the output is on for x in [start, 1] ...
    width = 1.0                     # ... an interval of this width: (a + d)₊/a, which loses no digits near x = 1
    at_start = d                    # the residual a x + d - x at the ends
    if relu and d <= 0.0:
        if a + d <= 0.0:
            return 1 / 3, 0.0, 0.0, 0.0, 0.0, 0.0
        start = -d / a
        width = (a + d) / a
        at_start = -start           # z = 0 there
    at_end = a + d - 1.0
    P = width * (at_start * at_start + at_start * at_end + at_end * at_end) / 3 + start**3 / 3
    P_d = width * (at_start + at_end)                                                       # 2 ∫ (z - x) dx
    P_a = width * (start * (2 * at_start + at_end) + at_start + 2 * at_end) / 3             # 2 ∫ x (z - x) dx
    edge = start / a if start > 0.0 else 0.0    # z = 0 moves by -(x, 1)/a, and the residual on it is -start
    P_dd = 2 * (width - edge)
    P_ad = 2 * (width * (start + 1.0) / 2 - edge * start)
    P_aa = 2 * (width * (start * start + start + 1.0) / 3 - edge * start * start)
    return P, P_a, P_d, P_aa, P_ad, P_dd


@kernel(fastmath=False)
def other_error(c, b, relu):
    """Q = ∫ ReLU(c t + b)² dt over [0, 1], with its derivatives by (c, b).

    Returns Q, Q_c, Q_b, Q_cc, Q_cb, Q_bb.
    """
    low, high, width = 0.0, 1.0, 1.0            # on for t in [low, high]
    p, q = b, c + b                             # z at the ends
    if relu:
        if p <= 0.0 and q <= 0.0:
            return 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
        if p < 0.0:
            low, width, p = -b / c, q / c, 0.0
        elif q < 0.0:
            high, q = -b / c, 0.0
            width = high
    Q = width * (p * p + p * q + q * q) / 3
    Q_b = width * (p + q)
    Q_c = width * (low * (2 * p + q) + high * (p + 2 * q)) / 3
    return Q, Q_c, Q_b, 2 * width * (low * low + low * high + high * high) / 3, width * (low + high), 2 * width


@inner(fastmath=False)
def output_error(a, c, b, p_none, p_own, p_other, p_both, relu):
    """F of one output, with its derivatives by (a, c, b).

    Returns F, F_a, F_c, F_b, F_aa, F_ac, F_ab, F_cc, F_cb, F_bb.
    """
    F, F_a, F_b, F_aa, F_ab, F_bb = own_error(a, b, relu)
    F, F_a, F_b, F_aa, F_ab, F_bb = p_own * F, p_own * F_a, p_own * F_b, p_own * F_aa, p_own * F_ab, p_own * F_bb
    F_c, F_ac, F_cb, F_cc = 0.0, 0.0, 0.0, 0.0

    if b > 0.0 or not relu:
        F += p_none * b * b
        F_b += 2 * p_none * b
        F_bb += 2 * p_none

    if p_other > 0.0:
        Q, Q_c, Q_b, Q_cc, Q_cb, Q_bb = other_error(c, b, relu)
        F += p_other * Q
        F_c += p_other * Q_c
        F_b += p_other * Q_b
        F_cc += p_other * Q_cc
        F_cb += p_other * Q_cb
        F_bb += p_other * Q_bb

    if p_both > 0.0:
        first, second = 0.0, 0.0                # kinks of P(b + c t), in order, inside [0, 1]
        if relu and c != 0.0:
            first = min(max(-b / c, 0.0), 1.0)
            second = min(max(-(a + b) / c, 0.0), 1.0)
            if second < first:
                first, second = second, first
        for piece in range(3):
            start = 0.0 if piece == 0 else (first if piece == 1 else second)
            width = (first if piece == 0 else (second if piece == 1 else 1.0)) - start
            if width <= 0.0:
                continue
            weight = p_both * width / 2
            for node in (NODE, 1 - NODE):
                t = start + width * node
                P, P_a, P_d, P_aa, P_ad, P_dd = own_error(a, b + c * t, relu)
                F += weight * P
                F_a += weight * P_a
                F_c += weight * t * P_d
                F_b += weight * P_d
                F_aa += weight * P_aa
                F_ac += weight * t * P_ad
                F_ab += weight * P_ad
                F_cc += weight * t * t * P_dd
                F_cb += weight * t * P_dd
                F_bb += weight * P_dd
    return F, F_a, F_c, F_b, F_aa, F_ac, F_ab, F_cc, F_cb, F_bb


@kernel(fastmath=False)
def loss_gradient_hessian(x, probabilities, importance, relu, g, H):
    """L at x = (w_1, w_2, b_1, b_2); writes the gradient to g (4) and the Hessian to H (4, 4).

    `probabilities` are those of (none, first alone, second alone, both).
    """
    w1, w2 = x[0], x[1]
    none, first, second, both = probabilities[0], probabilities[1], probabilities[2], probabilities[3]
    I1, I2 = importance[0], importance[1]
    F, Fa, Fc, Fb, Faa, Fac, Fab, Fcc, Fcb, Fbb = output_error(w1 * w1, w1 * w2, x[2], none, first, second, both, relu)
    G, Ga, Gc, Gb, Gaa, Gac, Gab, Gcc, Gcb, Gbb = output_error(w2 * w2, w1 * w2, x[3], none, second, first, both, relu)

    g_c = I1 * Fc + I2 * Gc                     # the chain rule through a = w_i² and c = w_1 w_2
    h_c = I1 * Fcc + I2 * Gcc
    g[0] = 2 * w1 * I1 * Fa + w2 * g_c
    g[1] = 2 * w2 * I2 * Ga + w1 * g_c
    g[2] = I1 * Fb
    g[3] = I2 * Gb
    H[0, 0] = I1 * (4 * w1 * w1 * Faa + 4 * w1 * w2 * Fac + 2 * Fa) + w2 * w2 * h_c
    H[1, 1] = I2 * (4 * w2 * w2 * Gaa + 4 * w1 * w2 * Gac + 2 * Ga) + w1 * w1 * h_c
    H[0, 1] = 2 * (I1 * w1 * w1 * Fac + I2 * w2 * w2 * Gac) + w1 * w2 * h_c + g_c
    H[0, 2] = I1 * (2 * w1 * Fab + w2 * Fcb)
    H[1, 2] = I1 * w1 * Fcb
    H[0, 3] = I2 * w2 * Gcb
    H[1, 3] = I2 * (2 * w2 * Gab + w1 * Gcb)
    H[2, 2] = I1 * Fbb
    H[3, 3] = I2 * Gbb
    H[2, 3] = 0.0
    for i in range(4):
        for j in range(i):
            H[i, j] = H[j, i]
    return I1 * F + I2 * G


@inner(fastmath=False)
def damped_step(H, g, damping, C, step):
    """Solve (H + damping · 1) step = -g by Cholesky's method; False if the matrix is not positive definite."""
    for i in range(4):
        for j in range(i + 1):
            total = H[i, j] + (damping if i == j else 0.0)
            for k in range(j):
                total -= C[i, k] * C[j, k]
            if i == j:
                if not total > 1e-14 * (abs(H[i, i]) + damping):
                    return False
                C[i, i] = math.sqrt(total)
            else:
                C[i, j] = total / C[j, j]
    for i in range(4):
        total = -g[i]
        for k in range(i):
            total -= C[i, k] * step[k]
        step[i] = total / C[i, i]
    for i in range(3, -1, -1):
        total = step[i]
        for k in range(i + 1, 4):
            total -= C[k, i] * step[k]
        step[i] = total / C[i, i]
    return True


@inner(fastmath=False)
def largest(g):
    return max(max(abs(g[0]), abs(g[1])), max(abs(g[2]), abs(g[3])))


@inner(fastmath=False, _nrt=True)
def descend(x, probabilities, importance, relu, limit, g, H):
    """Newton's method from x, which becomes the minimum; returns its loss and the number of evaluations."""
    on1, on2 = probabilities[1] + probabilities[3], probabilities[2] + probabilities[3]
    scale = (importance[0] * on1 + importance[1] * on2) / 3         # the loss of the model that answers 0
    if scale == 0.0:
        scale = 1.0                                                 # nothing is ever on: only positive biases cost
    goal = TOLERANCE * scale
    trial = np.empty(4)
    step = np.empty(4)
    C = np.zeros((4, 4))
    trial_g = np.empty(4)
    trial_H = np.empty((4, 4))
    loss = loss_gradient_hessian(x, probabilities, importance, relu, g, H)
    unit = max(0.1 * scale, SMALLEST)                               # so that the damping can grow, and this ends
    damping = unit
    evaluations = 1
    while largest(g) > goal and evaluations < limit:
        while not damped_step(H, g, damping, C, step):
            damping = max(4 * damping, 1e-3 * unit)
            if not damping < math.inf:                              # only a Hessian that is not finite comes here
                return loss, evaluations
        predicted = 0.0                                             # -(g·step + step·H·step / 2)
        for i in range(4):
            curved = 0.0
            for j in range(4):
                curved += H[i, j] * step[j]
            predicted -= step[i] * (g[i] + curved / 2)
            trial[i] = x[i] + step[i]
        trial_loss = loss_gradient_hessian(trial, probabilities, importance, relu, trial_g, trial_H)
        evaluations += 1
        gained = loss - trial_loss
        rounding = ROUNDING * loss
        if gained > ACCEPT * predicted or (predicted <= rounding and largest(trial_g) < largest(g)):
            loss = trial_loss
            for i in range(4):
                x[i] = trial[i]
                g[i] = trial_g[i]
                for j in range(4):
                    H[i, j] = trial_H[i, j]
            if gained > 0.75 * predicted:
                damping = damping / 8 if damping > 1e-9 * unit else 0.0
            elif gained < 0.25 * predicted:
                damping = max(2 * damping, 1e-3 * unit)
        elif predicted <= rounding and damping > 1e6 * unit:
            return loss, evaluations                                # no step is left that the loss could tell
        else:
            damping = max(4 * damping, 1e-3 * unit)
    return loss, evaluations


@kernel(fastmath=False)
def descend_range(x, probabilities, importance, relu, limit, loss, gradient, evaluations, first, last):
    """`descend` for models first..last-1 of K; x (K, 4) is overwritten, the rest (K, ...) is read or written."""
    g = np.empty(4)
    H = np.empty((4, 4))
    for k in range(first, last):
        loss[k], evaluations[k] = descend(x[k], probabilities[k], importance[k], relu, limit, g, H)
        gradient[k] = largest(g)


@kernel(fastmath=False)
def evaluate_range(x, probabilities, importance, relu, loss, gradient, first, last):
    """Loss (K) and gradient (K, 4) of models first..last-1 at x (K, 4)."""
    H = np.empty((4, 4))
    for k in range(first, last):
        loss[k] = loss_gradient_hessian(x[k], probabilities[k], importance[k], relu, gradient[k], H)

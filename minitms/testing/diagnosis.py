"""What is wrong with a gradient, where the pattern of its errors tells.

Each diagnosis is one function that gets a wrong parameter entry by entry and returns (kind, text), or None. It speaks
only when its pattern explains the whole of the gradient to within rounding: a wrong hint is worse than none.

    zero          the gradient is 0 everywhere
    sign          the gradient is minus the right one
    factor        ... another constant times the right one
    swapped       it is the gradient by another parameter
    transpose     the right numbers, with axes exchanged or cycled
    order         the right numbers, reversed or shifted along an axis, or reversed along several as a kernel
    mean          right once its mean over an axis is taken off, as a layer norm does
    signs         the right magnitudes, some with the wrong sign
    clipped       right up to a bound, and the bound beyond
    symmetric     off the diagonal, an entry counts for its mirror image too, on one side only
    decay         what is missing is a multiple of the parameter itself
    path          the parameter enters twice, as in Wᵀ W x, and one of the two paths is missing or has the wrong weight
    mask          right where every unit is on, wrong here where some are off
    entry, slice  one entry, or one row or column, is wrong and all others are right
    small         every error is a tiny part of the gradient, and has none of these patterns
"""

from __future__ import annotations

import itertools
import math

import numpy as np

from minitms.testing._params import LEAVE_OUT, named_axes
from minitms.testing.errors import GradientError, NotDifferentiableError

__tracebackhide__ = True  # pytest then shows the user's code, not ours

NICE = (2.0, 0.5, -2.0, -0.5, 4.0, 0.25)
LARGEST = 100_000  # a larger whole number tells no more than any other
SMALL = 3e-5  # part of the gradient: mistakes in a formula are rarely so small, approximations often are
MOST_AXES = 5  # 120 orders of axes are tried
SAMPLE = 4  # entries of a row that are looked at, in an array too large to look at all


def diagnose(problem, wrong, passes, right_along):
    """The (kind, text) of each wrong parameter, by name; parameters without a diagnosis are left out.

    Some mistakes show only by where they disappear: `passes` checks the gradient at another point, and
    `right_along(outcome, v)` the slope along a direction v of its parameter.
    """
    hints = {}
    for explained in wrong:
        found = (
            _zero(problem, explained)
            or _factor(problem, explained, wrong)
            or _swapped(explained, wrong)
            or _recovered(explained)
            or _signs(explained)
            or _clipped(explained)
            or _symmetric(explained)
            or _decay(problem, explained)
            or _path(problem, explained)
        )
        if found:
            hints[explained.outcome.name] = found
    unexplained = [explained for explained in wrong if explained.outcome.name not in hints]
    mask = _mask(problem, passes) if unexplained and len(unexplained) == len(wrong) else None
    for explained in unexplained:
        # A slip in one place spoils one place: if another parameter is wrong too, the cause lies elsewhere.
        found = mask or (_entry(explained) or _slice(explained, right_along) if len(unexplained) == 1 else None)
        if found:
            hints[explained.outcome.name] = found
    # Beside a parameter that is plainly wrong, a small error is no matter of precision.
    if all(_part_of_itself(explained) <= SMALL for explained in wrong):
        hints = {explained.outcome.name: _small(explained, wrong) for explained in wrong} | hints
    return hints


def _explains(explained, pattern, weight=1.0):
    """Whether `pattern` accounts for the analytic gradient: to within rounding, and for 99 % of every error."""
    if np.isnan(pattern[explained.wrong]).any():  # it needs entries that nobody has looked at
        return False
    seen = ~np.isnan(explained.numeric) & ~np.isnan(pattern)
    left = np.abs(explained.analytic - pattern)[seen]
    allowed = explained.tolerance[seen].max() * (1 + abs(weight)) + 1e-8 * np.abs(explained.analytic[seen]).max()
    error = np.abs(explained.analytic - explained.numeric)[seen].max()
    return left.max() <= min(allowed, 0.01 * error)


def _gives(explained, candidate):
    """The same the other way round: whether `candidate`, made of the analytic gradient, is the numeric one."""
    seen = ~np.isnan(explained.numeric)
    error = np.abs(explained.analytic - explained.numeric)[seen].max()
    allowed = 2 * explained.tolerance[seen].max() + 1e-8 * np.abs(explained.analytic).max()
    return np.abs(candidate[seen] - explained.numeric[seen]).max() <= min(allowed, 0.01 * error)


def _zero(problem, explained):
    if not explained.analytic.any():
        text = "the gradient is 0 everywhere: is it computed at all, or is a path detached from the loss?"
        return "zero", text + f" Or, {LEAVE_OUT}" * (len(problem.names) > 1)


def _factor(problem, explained, wrong):
    seen = ~np.isnan(explained.numeric)
    analytic, numeric = explained.analytic[seen], explained.numeric[seen]
    known = numeric[np.abs(numeric) > explained.tolerance[seen]]
    if not known.size:
        return None
    unit = numeric / np.abs(numeric).max()  # no square overflows
    ratio = float(analytic / np.abs(numeric).max() @ unit) / float(unit @ unit)
    inverse = abs(ratio) < 1
    size = round(1 / abs(ratio) if inverse else abs(ratio)) if 1 / LARGEST < abs(ratio) < LARGEST else 0
    nearest = math.copysign(1 / size if inverse else size, ratio) if size else 0.0
    whole = nearest != 0 and abs(ratio / nearest - 1) < 1e-6
    # One number is always a multiple of another: then only a telling multiple counts.
    if known.size < 2 and not (whole and (nearest == -1 or nearest in NICE)):
        return None
    if not _explains(explained, ratio * explained.numeric, ratio):
        return None
    if whole and nearest == -1:
        return "sign", "the sign is wrong: it is minus the right gradient"
    if abs(ratio - 1) <= SMALL:
        said = f"too {'large' if ratio > 1 else 'small'} by {abs(ratio - 1):.2g} of itself"
        return "factor", f"every entry is {said}. {_approximation(wrong)}"
    if not whole:
        return "factor", f"it is the right gradient times {ratio:.8g}"
    said = "-" * (nearest < 0) + "1/" * inverse + f"{size}"
    why = {"2": " (counted twice?)", "1/2": " (a forgotten 2 of a square?)"}.get(said, "")
    axes = [shape for _, shape, _ in problem.pre_activation_places if size in shape]
    if (nearest > 0 and size > 2) or (axes and size > 1):
        where = f" over the axis of {size} of the pre-activations {axes[0]}" if axes else ""
        why += f" (a {'sum in place of a mean' if nearest > 1 else 'mean in place of a sum'}{where}?)"
    return "factor", f"it is the right gradient times {said}{why}"


def _swapped(explained, wrong):
    for other in wrong:
        if (
            other is not explained
            and other.numeric.shape == explained.numeric.shape
            and _explains(explained, other.numeric)
        ):
            return "swapped", f"it is the gradient by {other.outcome.name}: the order of the gradients is wrong"


def _recovered(explained):
    """What makes the analytic gradient the numeric one: other places for its numbers, or its mean taken off."""
    analytic = explained.analytic
    for candidate, kind, text in itertools.chain(_transposed(analytic), _reordered(analytic), _centred(analytic)):
        if _gives(explained, candidate):
            return kind, text


def _transposed(analytic):
    """All that comes back from a wrong order of axes, the simplest first: where the shape is another, after a reshape.

    Whoever returns dW.transpose(order).reshape(dW.shape) gets dW back from .reshape(as it was).transpose(inverse).
    """
    if analytic.ndim > MOST_AXES:
        return
    shape, axes = analytic.shape, range(analytic.ndim)
    moved = {order: [i for i in axes if order[i] != i] for order in itertools.permutations(axes)}
    for order in sorted(moved, key=lambda order: len(moved[order]))[1:]:  # the first is the order as it is
        there = tuple(shape[i] for i in order)
        candidate = analytic.reshape(there).transpose(np.argsort(order))
        if len(moved[order]) > 2:
            text = f"the order of its axes is wrong: they come as {order}"
        else:
            text = "it is transposed: axes {} and {}".format(*moved[order])
        if there != shape:
            text = f"{text}, reshaped: use transpose (.T, swapaxes), not reshape"
        yield candidate, "transpose", text


def _reordered(analytic):
    shape, axes = analytic.shape, range(analytic.ndim)
    for i in axes:
        if shape[i] > 1:
            yield np.flip(analytic, i), "order", f"it is reversed along axis {i}"
        for shift in (1, -1):
            if shape[i] > 2:
                yield np.roll(analytic, shift, i), "order", f"it is shifted by one along axis {i}"
    long = [i for i in axes if shape[i] > 1][:MOST_AXES]
    for size in range(2, len(long) + 1):
        for several in itertools.combinations(long, size):
            text = f"it is reversed along {named_axes(several)} (a kernel flipped, or a convolution for a correlation?)"
            yield np.flip(analytic, several), "order", text


def _centred(analytic):
    """Along an axis that the loss centres, as a layer norm does, the right gradient sums to 0."""
    for size in range(1, min(analytic.ndim, MOST_AXES) + 1):
        for axes in itertools.combinations(range(analytic.ndim), size):
            means = analytic.mean(axes, keepdims=True)
            candidate, alike = analytic - means, analytic.size - means.size
            if alike >= 2 and np.abs(candidate).max() > 1e-8 * np.abs(analytic).max():
                where = named_axes(axes)
                text = f"the error is the same along {where}: less its mean over {where} this gradient is right"
                yield candidate, "mean", f"{text} (is a mean or a sum missing?)"


def _signs(explained):
    signed = np.copysign(explained.numeric, explained.analytic)
    flipped = explained.wrong & (np.sign(explained.numeric) != np.sign(explained.analytic))
    if _explains(explained, signed) and flipped.sum() >= 2:
        return "signs", f"the magnitudes are right, the sign of {int(flipped.sum())} entries is wrong"


def _clipped(explained):
    """Cut off at a bound: two wrong entries or more are at the same one, and what lies between the bounds is right.

    Of one entry nobody can tell what it should have been, and if all were cut by one factor, that may be the mistake.
    """
    analytic, numeric, wrong = explained.analytic, explained.numeric, explained.wrong
    low, high = float(analytic.min()), float(analytic.max())
    above, below = wrong & (analytic == high) & (numeric > high), wrong & (analytic == low) & (numeric < low)
    cut = above | below
    if cut.sum() < max(2, wrong.sum()) or np.ptp(np.abs(numeric[cut])) <= explained.tolerance[cut].max():
        return None
    right = ~wrong & ~np.isnan(numeric) & (analytic != 0)
    between = (right & (low < analytic) & (analytic < high)).any()
    both = high == -low and above.any() and below.any()
    if both and between:
        return "clipped", f"it is clipped at ±{high:.6g}"
    if both and cut.sum() >= 3 and not right.any():
        return "clipped", f"every entry is ±{high:.6g}: it is clipped there, or only the sign is taken (np.sign)"
    bounds = [bound for bound in (("above", high, above), ("below", low, below)) if bound[2].any()]
    if between and all(bound and at.sum() >= 2 for _, bound, at in bounds):
        return "clipped", "it is clipped " + " and ".join(f"{side} at {bound:.6g}" for side, bound, _ in bounds)


def _symmetric(explained):
    """A symmetric gradient, of two conventions: entries may be independent, or each off the diagonal there twice."""
    A, D = explained.analytic, explained.numeric
    if A.ndim < 2 or A.shape[-1] != A.shape[-2] or A.shape[-1] < 2:
        return None
    if np.abs(A - A.mT).max() > 1e-12 * np.abs(A).max():
        return None
    diagonal = np.eye(A.shape[-1])
    twice = "each entry off the diagonal counts for its mirror image too"
    if _explains(explained, D + D.mT - diagonal * D) or _gives(explained, (A + diagonal * A) / 2):
        return "symmetric", f"{twice}, as for a symmetric matrix (2G - diag G): entry by entry it is G alone"
    both = A + A.mT - diagonal * A
    for side, half in (("lower", np.tril), ("upper", np.triu)):
        if _gives(explained, half(both)):
            return "symmetric", (
                f"the loss reads the {side} triangle only, where {twice}; make the matrix symmetric in the loss, "
                "(S + Sᵀ) / 2"
            )
    if _explains(explained, (D + D.mT) / 2):
        return "symmetric", "it is made symmetric, (G + Gᵀ) / 2, but the loss tells an entry from its mirror image"


def _decay(problem, explained):
    value = problem.values[explained.outcome.block]
    seen = ~np.isnan(explained.numeric)
    missing, value_seen = (explained.numeric - explained.analytic)[seen], value[seen]
    if np.unique(np.abs(value_seen)).size < 2:
        return None
    weight = float(missing @ value_seen) / float(value_seen @ value_seen)
    if _explains(explained, explained.numeric - weight * value, 1.0):
        name = explained.outcome.name
        verb = "is missing" if weight > 0 else "is too much"
        return "decay", f"a term {abs(weight):.6g} {name} {verb}, the gradient of {abs(weight) / 2:.6g} |{name}|²"


def _path(problem, explained):
    """Does one of the two paths through a tied parameter have the wrong weight?

    A loss that depends on W through G = Wᵀ W has, with M = ∂L/∂G, the gradient W M + W Mᵀ: one term a path. So the
    paths P, Q obey P Wᵀ = (Q Wᵀ)ᵀ, whatever the loss. If the right gradient D lacks (1 - w) P, then the rest
    R = D - A is (1 - w) P, and k R Wᵀ + (k R Wᵀ)ᵀ = D Wᵀ for k = 1 / (1 - w): one unknown for a whole matrix.
    """
    W, name = problem.values[explained.outcome.block], explained.outcome.name
    if W.ndim < 2 or np.isnan(explained.numeric).any():
        return None
    for transposed in (False, True):  # through Wᵀ W, or through W Wᵀ
        turn = (lambda a: a.mT) if transposed else (lambda a: a)
        W_, D, R = turn(W), turn(explained.numeric), turn(explained.numeric - explained.analytic)
        whole, part = D @ W_.mT, R @ W_.mT
        part, size = part + part.mT, np.abs(part).max()
        rounding = 4 * turn(explained.tolerance) @ np.abs(W_).mT
        allowed = (rounding + rounding.mT).max() + 1e-8 * np.abs(whole).max()
        if np.abs(whole - whole.mT).max() > allowed or not np.abs(whole).max():
            continue
        if W_.shape[-2] > 1 and np.abs(part).max() <= min(allowed, 1e-4 * size):  # R = Q - P, so A = P + P
            return (
                "path",
                f"{name} enters the loss twice, as in {name}ᵀ {name} x: one path is counted twice, one is missing",
            )
        if not (part * part).sum():
            continue
        k = float((whole * part).sum() / (part * part).sum())
        if not k or np.abs(whole - k * part).max() > min((1 + abs(k)) * allowed, 1e-4 * np.abs(whole).max()):
            continue
        weight = 1 - 1 / k
        known = {0.0: "is missing", 2.0: "is counted twice", -1.0: "has the wrong sign"}
        said = next((text for value, text in known.items() if abs(weight - value) < 1e-5), None)
        if said is None and W_.shape[-2] > 1:
            said = f"is what it should be times {weight:.10g}"
        if said:
            return "path", f"{name} enters the loss twice, as in {name}ᵀ {name} x, and one of the two paths {said}"


def _mask(problem, passes):
    """Right where every pre-activation is positive, wrong here, where some are not: then the mask is the mistake.

    Asked at three points, of different signs of the other parameters: at one, some other mistake could hide.
    """
    if problem.kinks is None or not (problem.pre_activations < 0).any():
        return None
    random = np.random.default_rng(0)
    right, zero = True, True
    for attempt in range(3):
        moved = _all_on(problem, random if attempt else None)
        if moved is None:
            return None
        try:
            elsewhere = problem.at(moved)
            right = right and passes(elsewhere)
        except (GradientError, NotDifferentiableError, ValueError, TypeError):
            return None
        zero = zero and not any(part.any() for part in elsewhere.analytic)
        if not right and not zero:
            return None
    if right:
        return (
            "mask",
            "the mask [z > 0] is missing or wrong: where every pre-activation is positive, all is right",
        )
    return "mask", "the mask [z > 0] is inverted: where every pre-activation is positive, the gradient is 0"


def _all_on(problem, random):
    """Parameters at which every pre-activation is positive, by raising some biases; None if there is no such bias.

    A bias is a parameter that shifts the pre-activations one by one. Only those that need it are raised, and no more
    than they need: far away, where everything is positive, other mistakes than a mask would disappear too.
    With `random`, the other parameters get random signs first.
    """
    if len(problem.pre_activation_places) != 1:
        return None
    shape = problem.pre_activation_places[0][1]
    for block, value in enumerate(problem.values):
        if value.shape not in (shape, shape[:-2] + shape[-1:]):
            continue
        moved = [v if random is None or v is value else v * random.choice([-1.0, 1.0], v.shape) for v in problem.values]
        z = problem.pre_activations_at(moved).reshape(shape)
        lowest = z if z.shape == value.shape else z.min(axis=-2)  # over the batch
        margin = 0.02 * np.abs(z).max()
        moved[block] = value + np.where(lowest < margin, margin - lowest, 0.0)
        if (problem.pre_activations_at(moved) > 0.5 * margin).all():
            return moved
    return None


def _entry(explained):
    wrong = explained.wrong
    if wrong.sum() == 1 and explained.rest_is_right and wrong.size >= 3:
        index = [int(i) for i in np.argwhere(wrong)[0]]
        return "entry", f"only {explained.outcome.name}{index} is wrong, all other entries are right"


def _slice(explained, right_along):
    """All entries of one row, column or slab are wrong, and no other."""
    wrong, name = explained.wrong, explained.outcome.name
    if wrong.ndim < 2:
        return None
    worst, seen = explained.worst()[0], ~np.isnan(explained.numeric)
    for axis in (axis for axis in range(wrong.ndim) if wrong.shape[axis] >= 3):
        inside = np.zeros(wrong.shape, bool)
        inside[tuple(worst[axis] if i == axis else slice(None) for i in range(wrong.ndim))] = True
        if (wrong == (inside & seen)).all() and (seen.all() or _only_wrong(explained, inside, right_along)):
            where = ", ".join(str(worst[axis]) if i == axis else ":" for i in range(wrong.ndim))
            return "slice", f"only {name}[{where}] is wrong, all other entries are right"


def _only_wrong(explained, inside, right_along):
    """The same of entries that nobody has looked at: right without the slice, and wrong at a few places in it."""
    outcome = explained.outcome
    moving = np.flatnonzero(inside & (outcome.direction != 0))
    sample = np.random.default_rng(0).choice(moving, min(SAMPLE, moving.size), replace=False)
    return right_along(outcome, np.where(inside, 0.0, outcome.direction)) and not any(
        right_along(outcome, np.where(np.arange(inside.size).reshape(inside.shape) == entry, outcome.direction, 0.0))
        for entry in sample
    )


def _part_of_itself(explained):
    """The largest error as a part of the gradient: of its largest entry, and of its slope."""
    seen = ~np.isnan(explained.numeric)
    error, size = np.abs(explained.analytic - explained.numeric)[seen].max(), np.abs(explained.analytic[seen]).max()
    outcome = explained.outcome
    return max(error / size, outcome.error / outcome.size) if size and outcome.size else np.inf


def _small(explained, wrong):
    return "small", f"every error is below {_part_of_itself(explained):.1g} of the gradient. {_approximation(wrong)}"


def _approximation(wrong):
    part = 0.0
    for explained in wrong:
        outcome, error = explained.outcome, explained.analytic - explained.numeric
        seen = ~np.isnan(error)
        error, size = error[seen] * outcome.direction[seen], explained.analytic[seen] * outcome.direction[seen]
        part = max(part, outcome.error / outcome.size, np.linalg.norm(error) / np.linalg.norm(size))
    rtol = 10.0 ** math.ceil(math.log10(3 * part))  # other directions will be somewhat further off
    return (
        "A small constant in one of the two, as log(p + 1e-7) for log(p), a number in single precision, or an inner "
        f"solver that stops early? If it is meant to be: rtol={rtol:.0e}"
    )

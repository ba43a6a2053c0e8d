"""What is wrong with a gradient, where the pattern of its errors tells.

Each diagnosis is one function that gets a wrong parameter entry by entry and returns (kind, text), or None. It speaks
only when its pattern explains the whole of the gradient to within rounding: a wrong hint is worse than none.

    zero          the gradient is 0 everywhere
    sign          the gradient is -1 times the right one
    factor        ... another constant times the right one
    swapped       it is the gradient by another parameter
    transpose     the right numbers, with two axes exchanged
    order         the right numbers, reversed or shifted along an axis
    signs         the right magnitudes, some with the wrong sign
    decay         what is missing is a multiple of the parameter itself
    path          the parameter enters twice, as in Wᵀ W x, and one of the two paths is missing or has the wrong weight
    mask          right where every unit is on, wrong here where some are off
    entry, slice  one entry, or one row or column, is wrong and all others are right
"""

from __future__ import annotations

import itertools

import numpy as np

from minitms.testing.errors import GradientError, NotDifferentiableError

NICE = (2.0, 0.5, -2.0, -0.5, 4.0, 0.25)


def diagnose(problem, wrong, passes):
    """The (kind, text) of each wrong parameter, by name; parameters without a diagnosis are left out.

    `passes` checks the gradient at another point: some mistakes show only by where they disappear.
    """
    hints = {}
    for explained in wrong:
        found = (
            _zero(explained)
            or _factor(problem, explained)
            or _swapped(explained, wrong)
            or _rearranged(explained)
            or _signs(explained)
            or _decay(problem, explained)
            or _path(problem, explained)
        )
        if found:
            hints[explained.outcome.name] = found
    unexplained = [explained for explained in wrong if explained.outcome.name not in hints]
    mask = _mask(problem, passes) if unexplained and len(unexplained) == len(wrong) else None
    for explained in unexplained:
        # A slip in one place spoils one place: if another parameter is wrong too, the cause lies elsewhere.
        found = mask or (_entry(explained) or _slice(explained) if len(unexplained) == 1 else None)
        if found:
            hints[explained.outcome.name] = found
    return hints


def _explains(explained, pattern, weight=1.0):
    """Whether `pattern` accounts for the analytic gradient: to within rounding, and for 99 % of every error."""
    seen = ~np.isnan(explained.numeric) & ~np.isnan(pattern)
    left = np.abs(explained.analytic - pattern)[seen]
    allowed = explained.tolerance[seen].max() * (1 + abs(weight)) + 1e-8 * np.abs(explained.analytic[seen]).max()
    error = np.abs(explained.analytic - explained.numeric)[seen].max()
    return left.max() <= min(allowed, 0.01 * error)


def _zero(explained):
    if not explained.analytic.any():
        return "zero", "the gradient is 0 everywhere: is it computed at all, or is a path detached from the loss?"


def _factor(problem, explained):
    seen = ~np.isnan(explained.numeric)
    analytic, numeric = explained.analytic[seen], explained.numeric[seen]
    known = numeric[np.abs(numeric) > explained.tolerance[seen]]
    square = float(numeric @ numeric)
    if not known.size or not square:
        return None
    ratio = float(analytic @ numeric) / square
    nearest = 1 / round(1 / ratio) if 0 < abs(ratio) < 0.75 else float(round(ratio))
    whole = nearest != 0 and abs(ratio / nearest - 1) < 1e-6
    # One number is always a multiple of another: then only a telling multiple counts.
    if known.size < 2 and not (whole and (nearest == -1 or nearest in NICE)):
        return None
    if not _explains(explained, ratio * explained.numeric, ratio):
        return None
    if whole and nearest == -1:
        return "sign", "the sign is wrong: it is -1 times the right gradient"
    if not whole:
        return "factor", f"it is {ratio:.8g} times the right gradient"
    said = f"1/{round(1 / nearest)}" if abs(nearest) < 1 else f"{nearest:.0f}"
    why = {"2": " (counted twice?)", "1/2": " (a forgotten 2 of a square?)"}.get(said, "")
    size = round(max(abs(nearest), 1 / abs(nearest)))
    axes = [shape for _, shape, _ in problem.pre_activation_places if size in shape]
    if (nearest > 0 and size > 2) or (axes and size > 1):
        where = f" over the axis of {size} of the pre-activations {axes[0]}" if axes else ""
        why += f" (a {'sum in place of a mean' if nearest > 1 else 'mean in place of a sum'}{where}?)"
    return "factor", f"it is {said} times the right gradient{why}"


def _swapped(explained, wrong):
    for other in wrong:
        if (
            other is not explained
            and other.numeric.shape == explained.numeric.shape
            and _explains(explained, other.numeric)
        ):
            return "swapped", f"it is the gradient by {other.outcome.name}: the order of the gradients is wrong"


def _rearranged(explained):
    """The right numbers in the wrong places: compare rearrangements of the analytic gradient with the numeric one."""
    analytic, numeric = explained.analytic, explained.numeric
    shape, axes = analytic.shape, range(analytic.ndim)
    candidates = []
    for i, j in itertools.combinations(axes, 2):
        if shape[i] == shape[j]:
            candidates.append(
                (analytic.swapaxes(i, j), "transpose", f"it is transposed: axes {i} and {j}")
            )
    if analytic.ndim >= 2:
        other = analytic.reshape(*shape[:-2], shape[-1], shape[-2]).mT
        candidates.append((other, "transpose", "it is the transpose, reshaped: use .T (or swapaxes), not reshape"))
    for i in axes:
        if shape[i] > 1:
            candidates.append((np.flip(analytic, i), "order", f"it is reversed along axis {i}"))
        for shift in (1, -1):
            if shape[i] > 2:
                text = f"it is shifted by one along axis {i}"
                candidates.append((np.roll(analytic, shift, i), "order", text))
    seen = ~np.isnan(numeric)
    error = np.abs(analytic - numeric)[seen].max()
    allowed = 2 * explained.tolerance[seen].max() + 1e-8 * np.abs(analytic).max()
    for candidate, kind, text in candidates:
        if np.abs(candidate - numeric)[seen].max() <= min(allowed, 0.01 * error):
            return kind, text


def _signs(explained):
    signed = np.copysign(explained.numeric, explained.analytic)
    flipped = explained.wrong & (np.sign(explained.numeric) != np.sign(explained.analytic))
    if _explains(explained, signed) and flipped.sum() >= 2:
        return "signs", f"the magnitudes are right, the sign of {int(flipped.sum())} entries is wrong"


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
            said = f"is {weight:.6g} times what it should be"
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


def _slice(explained):
    """All entries of one row, column or slab are wrong, and no other."""
    wrong = explained.wrong
    if np.isnan(explained.numeric).any() or wrong.ndim < 2:
        return None
    for axis in range(wrong.ndim):
        hit = wrong.any(axis=tuple(i for i in range(wrong.ndim) if i != axis))
        if hit.sum() == 1 and hit.size >= 3 and np.take(wrong, int(hit.argmax()), axis).all():
            where = ", ".join(str(int(hit.argmax())) if i == axis else ":" for i in range(wrong.ndim))
            return "slice", f"only {explained.outcome.name}[{where}] is wrong, all other entries are right"

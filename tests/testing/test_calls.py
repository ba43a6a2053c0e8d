"""How a check is called: one function of one params each, and what pytest shows of a call that failed."""

import functools
import os
import re
import subprocess
import sys
from pathlib import Path

import numba
import numpy as np
import pytest

from minitms.testing import GradientError, check_grad

ROOT = str(Path(__file__).resolve().parents[2])
P = np.array([1.0, -2.0, 3.0])


def square(p):
    return float((p**2).sum())


def twice(p):
    return 2 * p


def two(w, b):
    return float((w**2).sum() + b)


def only_by_name(*, w):
    return float((w**2).sum())


@functools.wraps(two)
def wrapped(p):
    return two(*p)


ONE = r"; expected one argument, params: pass a tuple or dict .* and for the loss lambda p: loss\(\*p\)$"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((two, twice), r"^loss takes \(w, b\)" + ONE),
        ((square, two), r"^gradient takes \(w, b\)" + ONE),
        ((square, twice, P, 1.0), r"^check_grad got 2 params; expected loss, gradient and one params: pass a tuple"),
        ((lambda: 1.0, twice), r"^loss takes \(\)" + ONE),
        ((only_by_name, twice), r"^loss takes \(\*, w\)" + ONE),
        ((numba.njit(lambda w, b: w), twice), r"^loss takes \(w, b\)" + ONE),
        ((functools.partial(two), twice), r"^loss takes \(w, b\)" + ONE),
    ],
)
def test_a_call_with_more_than_one_params_is_refused_with_the_cure(arguments, said):
    with pytest.raises(TypeError, match=said):
        check_grad(*arguments, *[P] * (len(arguments) < 3))
    with pytest.raises(TypeError, match=r"kinks takes \(w, b\)"):
        check_grad(square, twice, P, kinks=two)


def test_functions_that_can_take_one_argument_are_called():
    gradient = functools.partial(lambda scale, p: scale * p, 2.0)
    for loss in (functools.partial(two, b=1.0), lambda *p: square(p[0]), lambda p, scale=1.0: scale * square(p)):
        assert check_grad(loss, gradient, P).ok
    assert check_grad(wrapped, lambda p: (2 * p[0], 1.0), (P, 2.0)).ok  # the wrapper takes one, what it wraps takes two
    assert check_grad(numba.njit(lambda p: (p**2).sum()), gradient, P).ok


def test_a_type_error_of_the_loss_itself_comes_through():
    with pytest.raises(TypeError, match="unsupported operand"):
        check_grad(lambda p: p + {}, twice, P)


def test_a_gradient_that_adds_up_is_told_of_grad():
    total = np.zeros(3)

    def gradient(p):
        np.add(total, 2 * p, out=total)
        return total

    with pytest.raises(GradientError, match=r"differ by 6\. Does it add up, as \.grad in PyTorch does"):
        check_grad(square, gradient, P)


FAILING = """
import numpy as np
from minitms.testing import check_grad, metamorphic

def square(w):
    return (w**2).sum()

def far(w):
    if (w != 1).any():
        raise KeyError("mine")
    return 1.0

def test_wrong():
    check_grad(square, lambda w: 3 * w, np.ones(3))

def test_kink():
    check_grad(lambda w: abs(w).sum(), np.sign, np.zeros(3))

def test_shape():
    check_grad(square, lambda w: w[None], np.ones(3))

def test_random():
    check_grad(lambda w: np.random.default_rng().normal(), np.copy, np.ones(3))

def test_params():
    check_grad(square, np.copy, [None])

def test_call():
    check_grad(square, np.copy, np.ones(3), np.ones(3))

def test_functions():
    check_grad(lambda w, b: 1.0, np.copy, np.ones(3))

def test_elsewhere():
    x = np.array([[1.0, -2.0, 3.0]])
    def loss(b):
        if abs(b).max() > 1:
            raise KeyError("mine too")  # where the diagnosis looks
        return (np.maximum(x + b, 0) ** 2).sum()
    check_grad(loss, lambda b: np.array([0.3, 0.1, 0.7]), np.zeros(3), kinks=lambda b: x + b)

def test_far():
    check_grad(far, np.copy, np.ones(3))

def test_unresolved():
    check_grad(lambda w: 1e20 + w, lambda w: 1.0, 0.5)

def test_metamorphic():
    metamorphic.check_permutation(lambda W, b, x, importance: (W[0, 0], W, b), np.eye(3), np.ones(3), np.eye(3), 1.0)
"""


def test_pytest_shows_the_code_of_the_user_and_not_of_the_package_with_the_settings_of_the_tutorial(tmp_path):
    (tmp_path / "test_mine.py").write_text(FAILING, encoding="utf-8")
    tutorial = (Path(ROOT) / "tutorials" / "05_check_your_own_gradients.py").read_text(encoding="utf-8")
    settings = re.search(r"# ```toml\n(.*?)# ```", tutorial, re.DOTALL)[1].replace("# ", "")
    (tmp_path / "pyproject.toml").write_text(settings, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "test_mine.py"]
    shown = subprocess.run(command, cwd=tmp_path, env=os.environ | {"PYTHONPATH": ROOT}, capture_output=True, text=True)
    assert "11 failed" in shown.stdout
    places = re.findall(r"^(\S+\.py):\d+: ", shown.stdout, re.MULTILINE)
    assert set(places) == {"test_mine.py"}, shown.stdout
    assert 'raise KeyError("mine")' in shown.stdout
    assert 'raise KeyError("mine too")' in shown.stdout
    assert "UnresolvedWarning: gradient is NOT CHECKED" in shown.stdout

"""The hard cases of the benchmark are what they claim: right gradients, real mistakes, losses that cannot tell."""

import numpy as np
import pytest

from tests.benchmarks.gradient_hard_cases import FAMILIES, hard_case
from tests.benchmarks.gradient_hard_cases.case import form, proven

CHECKABLE = [i for i, (_, _, checkable) in enumerate(FAMILIES) if checkable]
UNDECIDABLE = [i for i, (_, _, checkable) in enumerate(FAMILIES) if not checkable]


@pytest.mark.parametrize("i", CHECKABLE, ids=lambda i: FAMILIES[i][0].__name__)
def test_the_gradient_is_right_and_the_mistake_is_one(i):
    case = hard_case(i)
    assert proven(case, np.random.default_rng(0))
    if case.mistake:
        name, wrong = case.mistake
        assert not proven(case._replace(gradient=wrong), np.random.default_rng(0)), name


@pytest.mark.parametrize("i", UNDECIDABLE, ids=lambda i: FAMILIES[i][0].__name__)
def test_the_loss_is_constant_around_the_point(i):
    case = hard_case(i)
    start, build = form(case.params)
    random = np.random.default_rng(0)
    for step in 1e-9 * random.normal(size=(4, start.size)):
        assert case.loss(build(start + step)) == case.loss(case.params)
    assert np.any(case.gradient(case.params)), "a gradient of 0 would be right"


def test_a_case_is_a_function_of_its_number():
    for i in (3, 3 + len(FAMILIES)):
        first, second = hard_case(i), hard_case(i)
        np.testing.assert_array_equal(form(first.params)[0], form(second.params)[0])
        assert first.mistake[0] == second.mistake[0]
    assert not np.array_equal(form(hard_case(3).params)[0], form(hard_case(3 + len(FAMILIES)).params)[0])

"""The forms in which people have their parameters: which are taken, by what names, and what is said of the others."""

import collections
import functools
from typing import NamedTuple

import numpy as np
import pytest

from minitms.testing import GradientError, check_grad
from minitms.testing._call import argument_name

A, B = np.array([[1.0, -2.0, 0.5], [0.3, 1.5, -0.7]]), np.array([0.4, -1.1])


class Layer(NamedTuple):
    weight: object
    offset: object


class Metres(np.ndarray):
    """An array with a unit, which would be lost."""


FORMS = [
    ([A, B], ["params[0]", "params[1]"]),
    ([A], ["params[0]"]),
    ({"layer1": {"W": A, "b": B}, "layer2": {"W": B}}, ["layer1.W", "layer1.b", "layer2.W"]),
    ({"layers": [{"W": A}, {"W": B}], "scale": 2.0}, ["layers[0].W", "layers[1].W", "scale"]),
    ([Layer(A, 0.5), Layer(B, -1.5)], ["params[0].weight", "params[0].offset", "params[1].weight", "params[1].offset"]),
    (Layer({"first": A}, (B,)), ["weight.first", "offset[0]"]),
    ((A, [B, (0.3,)]), ["params[0]", "params[1][0]", "params[1][1][0]"]),
    (2.0, ["params"]),
    (np.float64(2.0), ["params"]),
    ([0.5, -2.0], ["params[0]", "params[1]"]),
    ({"W": A, "unused": np.empty((0, 3)), "b": B}, ["W", "b"]),
    ([np.empty(0), A], ["params[1]"]),
    ({"W": A, "more": {}}, ["W"]),
    (collections.OrderedDict(W=A, b=B), ["W", "b"]),
    (collections.defaultdict(list, W=A, b=[B]), ["W", "b[0]"]),
]


def each(function, node):
    """`node` with the function of each of its leaves, written by hand for the classes above."""
    if isinstance(node, dict):
        return {key: each(function, child) for key, child in node.items()}
    if isinstance(node, Layer):
        return Layer(each(function, node.weight), each(function, node.offset))
    if isinstance(node, list | tuple):
        return type(node)(each(function, child) for child in node)
    return function(node)


def total(params):
    found = []
    each(lambda leaf: found.append(np.sum(leaf**3)), params)
    return sum(found)


def same_form(a, b):
    if isinstance(a, dict | list | tuple):
        keys = a if isinstance(a, dict) else range(len(a))
        return type(a) is type(b) and len(a) == len(b) and all(same_form(a[key], b[key]) for key in keys)
    return type(a) is type(b) and np.shape(a) == np.shape(b)


@pytest.mark.parametrize(("params", "names"), FORMS, ids=lambda value: type(value).__name__)
def test_every_form_keeps_its_form_and_its_names(params, names):
    def loss(params):
        assert same_form(params, given)
        return total(params)

    given = params
    report = check_grad(loss, lambda p: each(lambda leaf: 3 * leaf**2, p), params)
    assert [outcome.name for outcome in report.outcomes] == names
    for wrong in range(len(names)):
        with pytest.raises(GradientError) as caught:
            check_grad(loss, lambda p: doubled(p, wrong), params)  # noqa: B023
        assert caught.value.parameter == names[wrong]
        assert caught.value.hints == {names[wrong]: "factor"}
        assert f"gradient by {names[wrong]} is wrong at {names[wrong]}" in str(caught.value)


def doubled(params, wrong):
    """The gradient of `total`, but for the leaf with the number `wrong` (empty ones not counted): twice that."""
    count = iter(range(100))
    return each(lambda leaf: 3 * leaf**2 * (2 if np.size(leaf) and next(count) == wrong else 1), params)


def test_what_comes_back_may_be_of_a_like_form():
    """A list for a tuple, another mapping for a dict, one array for a list of numbers or of equal shapes."""
    frozen = collections.ChainMap({"W": 3 * A**2})
    for params, gradient in (
        ((A, B), [3 * A**2, 3 * B**2]),
        ([A, B], (3 * A**2, 3 * B**2)),
        (Layer(A, B), (3 * A**2, 3 * B**2)),
        ({"W": A}, frozen),
        ([0.5, -2.0], np.array([0.75, 12.0])),
        ([[0.5], [-2.0]], np.array([[0.75], [12.0]])),
        ((A, 2 * A), np.array([3 * A**2, 12 * A**2])),
        (2.0, 12.0),
        (2.0, np.array(12.0)),
        (np.array([1.0, 0.0]), np.array([3, 0])),
    ):
        assert check_grad(total, lambda p: gradient, params).ok  # noqa: B023


def test_what_the_caller_does_to_params_meanwhile_is_no_matter():
    params = {"W": A.copy(), "b": B.copy()}

    def loss(p):
        params.clear()
        return total(p)

    assert check_grad(loss, lambda p: each(lambda leaf: 3 * leaf**2, p), params).ok


def test_a_container_that_is_changed_is_input_that_is_modified():
    def loss(p):
        return float((p["W"][0] ** 3).sum())

    for change, what in (
        (lambda p: p.pop("W"), "the parts of params have changed"),
        (lambda p: p["W"].append(A), "the parts of params have changed"),
        (lambda p: p.__setitem__("cache", A), "the parts of params have changed"),
        (lambda p: p["W"].__setitem__(0, 2 * A), r"W\[0\] has changed"),
    ):

        def gradient(p, change=change):
            dW = 3 * p["W"][0] ** 2
            change(p)
            return {"W": [dW]}

        with pytest.raises(GradientError, match=f"gradient modifies its input: {what}") as caught:
            check_grad(loss, gradient, {"W": [A]})
        assert caught.value.hints == {"W[0]": "modifies its input"}


def test_a_parameter_alone_is_called_what_the_loss_calls_it():
    class Model:
        def loss(self, weights, scale=1.0):
            return scale * float((weights**3).sum())

    def many(*args):
        return float((args[0] ** 3).sum())

    losses = (
        (lambda W: (W**3).sum(), "W"),
        (Model().loss, "weights"),
        (functools.partial(Model().loss, scale=1.0), "weights"),
        (many, "params"),
        (lambda _: (_**3).sum(), "params"),
    )
    for loss, name in losses:
        with pytest.raises(GradientError, match=rf"gradient by {name} is wrong at {name}\[") as caught:
            check_grad(loss, lambda p: 3.01 * p**2, A)
        assert caught.value.parameter == name


def test_what_has_no_name_for_its_argument_is_no_trouble():
    for function in (keyword_only, dict.fromkeys([]).update, type, 3, lambda: 1.0):
        assert argument_name(function) == "params"


def keyword_only(*, weights):
    raise AssertionError("not to be called")


def ones(p):
    return each(np.ones_like, p)


LEAVE_OUT = "or, if it is not differentiated, leave it out of params: let loss and gradient close over it$"
BAD_PARAMS = [
    ("1.0", TypeError, "params is a str; expected a float64 NumPy array, a float, or a list"),
    (["1.0"], TypeError, r"params\[0\] is a str"),
    (np.array(["1.0"]), TypeError, "params has dtype <U3; expected float64$"),
    (b"1", TypeError, "params is a bytes"),
    (None, TypeError, "params is a NoneType; .* of these$"),
    ({"layer": {"W": A, "b": None}}, TypeError, "layer.b is a NoneType.*" + LEAVE_OUT),
    (3, TypeError, r"params is an int; .*: float\(params\)$"),
    ((A, np.array([0, 2])), TypeError, r"params\[1\].astype\(np.float64\); " + LEAVE_OUT),
    ((A, 3), TypeError, r"params\[1\] is an int; .*: float\(params\[1\]\); " + LEAVE_OUT),
    ({"W": A, "activation": "relu"}, TypeError, "activation is a str; .*" + LEAVE_OUT),
    (np.array([0, 2]), TypeError, r"params.astype\(np.float64\)$"),
    ([True], TypeError, r"params\[0\] is a bool"),
    (np.float32(2), TypeError, r"params is a float32; .*: float\(params\)$"),
    (1j, TypeError, "params is a complex"),
    (A * 1j, TypeError, r"dtype complex128; expected float64: the pair \(params.real, params.imag\)"),
    (np.array([A, None], dtype=object), TypeError, "dtype object; expected float64: numbers only, or a list of arrays"),
    (np.array([1, 2]).astype("datetime64[s]"), TypeError, "dtype datetime64"),
    (A.astype(">f8"), TypeError, r"dtype >f8; expected float64: params.astype\(np.float64\)"),
    (np.ma.masked_less(A, 0), TypeError, r"params is a MaskedArray.*: params.compressed\(\)"),
    ({"W": np.ma.array(A)}, TypeError, r"W is a MaskedArray.*: W.compressed\(\)"),
    (A.view(Metres), TypeError, r"params is a Metres.*: np.asarray\(params\)"),
    (iter([A, B]), TypeError, r"params is a list_iterator; .*: list\(params\)"),
    (collections.ChainMap({"W": A}), TypeError, r"params is a ChainMap; .*: dict\(params\)"),
    ({"layer": {"W": A.astype(np.float32)}}, TypeError, r"layer.W is float32.*layer.W.astype\(np.float64\)"),
    ([[A, np.array([np.nan])]], ValueError, r"params\[0\]\[1\] holds NaN"),
    ([], ValueError, "params is an empty list"),
    ({"a": {}, "b": []}, ValueError, "params is an empty dict"),
    ([np.empty(0), np.empty((2, 0))], ValueError, r"params\[0\] is empty, of shape \(0,\)"),
    ({1: A, "1": B}, ValueError, "two parameters with the name 1"),
    ({"a.b": A, "a": {"b": B}}, ValueError, "two parameters with the name a.b"),
]


@pytest.mark.parametrize(("params", "error", "said"), BAD_PARAMS, ids=lambda value: str(value)[:30])
def test_params_that_are_refused(params, error, said):
    with pytest.raises(error, match=said):
        check_grad(lambda p: 1.0, ones, params)


BAD_GRADIENTS = [
    (A, "1.0", TypeError, "gradient returned a str for params; expected a float64 array"),
    (A, np.full(A.shape, "1.0"), TypeError, "gradient returned an ndarray of <U3 for params"),
    (A, A * 1j, TypeError, "of complex128 for params"),
    (A, A.astype(object), TypeError, "of object for params"),
    (A, np.ma.masked_less(A, 0), TypeError, "a MaskedArray of float64 for params"),
    (A, {"W": A}, TypeError, "gradient returned a dict; expected one array"),
    (A, A.astype(np.float16), TypeError, "gradient returned float16"),
    (A, A.astype(np.float32), TypeError, "float32 for params; expected float64: compute it in float64 from the start"),
    (A, None, TypeError, r"a NoneType for params; .*: is a return missing\? In PyTorch, .grad is None before[^;]*$"),
    ({"W": A}, None, TypeError, r"a NoneType; expected a dict, as params is: is a return missing\?"),
    ((A, B), (A, None), TypeError, r"a NoneType for params\[1\]; .* .grad is None before .*; " + LEAVE_OUT),
    ([A, B], A.T, ValueError, "gradient returned 3 arrays; expected 2, as params has"),
    ([A, B], 3.0, TypeError, "gradient returned a float; expected a list, as params is"),
    ([A, B], None, TypeError, "gradient returned a NoneType; expected a list, as params is: is a return missing"),
    ([A, B], {"W": A}, TypeError, "gradient returned a dict; expected a list"),
    ({"layer": {"W": A}}, {"layer": A}, TypeError, "an ndarray of float64 for layer; expected a dict, as layer is"),
    ({"layer": {"W": A}}, {"layer": {"V": A}}, ValueError, r"for layer; .*missing \['W'\]: unknown \['V'\]"),
    ({"layer": [A, B]}, {"layer": [A]}, ValueError, "returned 1 arrays for layer; expected 2, as layer has"),
    ({"layer": [A, B]}, {"layer": [A, None]}, TypeError, r"a NoneType for layer\[1\]"),
    ([np.empty((0, 3)), A], [np.empty(3), A], GradientError, r"by params\[0\] .* got \(3,\), expected \(0, 3\)"),
]


@pytest.mark.parametrize(("params", "gradient", "error", "said"), BAD_GRADIENTS, ids=lambda value: str(value)[:30])
def test_gradients_that_are_refused(params, gradient, error, said):
    with pytest.raises(error, match=said):
        check_grad(lambda params: 1.0, lambda params: gradient, params)


class Number:
    """A number of some other library, as those of more digits."""

    def __init__(self, value):
        self.value = value

    def __float__(self):
        return float(self.value)


@pytest.mark.parametrize("wrap", [lambda v: np.array([v]), np.array, np.longdouble, float, Number], ids=str)
def test_one_number_is_a_loss(wrap):
    assert check_grad(lambda p: wrap((p**3).sum()), lambda p: 3 * p**2, A).ok
    with pytest.raises(GradientError):
        check_grad(lambda p: wrap((p**3).sum()), lambda p: 3.01 * p**2, A)


@pytest.mark.parametrize(
    ("loss", "error", "said"),
    [
        ("1.0", TypeError, "loss returned a str; expected one real number"),
        (np.str_("1.0"), TypeError, "loss returned a str_"),
        (np.array("1.0"), TypeError, "of <U3"),
        (b"1", TypeError, "a bytes"),
        (True, TypeError, "a bool"),
        (np.True_, TypeError, "a bool"),
        (1j, TypeError, "a complex"),
        (np.complex128(1), TypeError, "complex128"),
        (np.timedelta64(1, "ns"), TypeError, "timedelta64"),
        (np.array(1.0, dtype=object), TypeError, "of object"),
        (np.ma.masked, TypeError, "MaskedConstant"),
        ([1.0], TypeError, "a list"),
        (10**400, TypeError, "an int"),
        (np.ones(2), ValueError, r"array of shape \(2,\)"),
        (np.ones(0), ValueError, r"array of shape \(0,\)"),
        (np.ones((1, 1)), ValueError, r"array of shape \(1, 1\).* or \(R \* out\).sum\(\) with a fixed random R"),
        (np.ones(1, np.float32), TypeError, "float32"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_what_is_no_loss(loss, error, said):
    with pytest.raises(error, match=said):
        check_grad(lambda p: loss, np.zeros_like, A)


def test_tensors_of_pytorch():
    """As params they are refused with the line that mends it; coming back, as loss or gradient, they are welcome."""
    torch = pytest.importorskip("torch")

    def loss(p):
        return (torch.as_tensor(p["W"]) ** 3).sum()

    def gradient(p):
        W = torch.tensor(p["W"], requires_grad=True)
        return {"W": 3 * W**2}  # still tracks its history

    assert check_grad(loss, gradient, {"W": A}).ok
    assert check_grad(lambda p: loss(p).reshape(1), gradient, {"W": A}).ok
    assert check_grad(lambda p: loss({"W": p}).requires_grad_(), lambda p: gradient({"W": p})["W"], A).ok
    with pytest.raises(GradientError):
        check_grad(loss, lambda p: {"W": 1.01 * gradient(p)["W"]}, {"W": A})
    wide, narrow = torch.ones(2, dtype=torch.float64, requires_grad=True), torch.ones(2)
    for tensor, said in (
        ({"W": wide}, r"W is a Tensor of torch.float64.*: W.detach\(\).numpy\(\)"),
        (wide, r"params.detach\(\).numpy\(\)"),
        (narrow, r"params.detach\(\).double\(\).numpy\(\)"),
        ([torch.nn.Parameter(narrow)], r"params\[0\] is a Parameter.*params\[0\].detach\(\).double\(\).numpy\(\)"),
        (torch.nn.Linear(2, 1).parameters(), r"list\(params\)"),
        (torch.ones(2, device="meta"), r"params.detach\(\).cpu\(\).double\(\).numpy\(\)"),
    ):
        with pytest.raises(TypeError, match=said):
            check_grad(lambda p: 1.0, ones, tensor)
    for dtype, said in ((torch.float32, "float32"), (torch.bfloat16, "bfloat16"), (torch.complex128, "complex128")):
        with pytest.raises(TypeError, match=said):
            check_grad(loss, lambda p: {"W": gradient(p)["W"].to(dtype)}, {"W": A})  # noqa: B023
        with pytest.raises(TypeError, match=said):
            check_grad(lambda p: loss(p).to(dtype), gradient, {"W": A})  # noqa: B023
    with pytest.raises(TypeError, match=r"loss returned a Tensor of torch\.bool"):
        check_grad(lambda p: loss(p) > 0, gradient, {"W": A})
    with pytest.raises(TypeError, match="gradient returned a Tensor"):
        check_grad(loss, lambda p: {"W": gradient(p)["W"].detach().to_sparse()}, {"W": A})


def test_arrays_of_jax():
    jax = pytest.importorskip("jax")
    jax.config.update("jax_enable_x64", True)

    def loss(p):
        return (p["W"] ** 3).sum()

    assert check_grad(loss, jax.grad(loss), {"W": A}).ok
    with pytest.raises(GradientError):
        check_grad(loss, lambda p: {"W": 1.01 * jax.grad(loss)(p)["W"]}, {"W": A})
    with pytest.raises(TypeError, match=r"W is an ArrayImpl.*: np.asarray\(W, np.float64\)"):
        check_grad(loss, jax.grad(loss), {"W": jax.numpy.asarray(A)})
    with pytest.raises(TypeError, match="float32"):
        check_grad(loss, lambda p: {"W": jax.grad(loss)(p)["W"].astype("float32")}, {"W": A})

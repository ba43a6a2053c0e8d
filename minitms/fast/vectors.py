"""Arrays in panels of examples, and the loops over them that are written for LLVM, the compiler behind Numba.

Examples stand side by side in *panels* of 128 bytes, LANES of them: a panel of n features is an array (n, LANES). A
loop is written twice: as NumPy, which is what it means, and for LLVM, one vector instruction after the other.
"""

from __future__ import annotations

import inspect

import numba
import numpy as np
from llvmlite import binding, ir
from numba.core import cgutils, types
from numba.extending import intrinsic, overload

PANEL = 128  # bytes of a row of a panel
LONG = bool(binding.get_host_cpu_features().get("avx512f"))  # 32 vectors of 64 bytes, in place of 16 of 32
VECTOR = 64 if LONG else 32  # bytes
COMPRESS = LONG and binding.llvm_version_info >= (19,)  # whether there is an instruction for `keep` and LLVM knows it
SPARE = 4  # rows behind the last that an outer tile may look at


def lanes(dtype) -> int:
    """How many examples stand side by side in a panel."""
    return PANEL // np.dtype(dtype).itemsize


def lanes_of(X) -> int:
    """How many entries a row of a panel of X's dtype has; inside a kernel the compiler knows the number."""
    return PANEL // X.itemsize


# Not `inline`: Numba would then remove from the caller what it takes for dead, and overlook that an array outlives the
# call which is a field of a NamedTuple. LLVM sees to it that nothing is called.
@overload(lanes_of)
def _compiled_lanes(X):
    entries = PANEL * 8 // X.dtype.bitwidth
    return lambda X: entries


def aligned(shape, dtype):
    """An array of zeros that begins with a cache line, so that no row of a panel lies across two of them."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    memory = np.zeros(size + PANEL, np.uint8)
    start = -memory.ctypes.data % PANEL
    return memory[start : start + size].view(dtype).reshape(shape)


def in_panels(panels, rows, dtype):
    """Panels of zeros, with the rows behind the last that an outer tile may look at."""
    whole = aligned((panels * rows + SPARE, lanes(dtype)), dtype)
    return whole[: panels * rows].reshape(panels, rows, -1) if panels else whole[:0].reshape(0, rows, lanes(dtype))


def written_for_llvm(write):
    """Decorate what a loop means in NumPy with the function that writes it for LLVM, once for each kernel."""

    def decorate(function):
        if numba.config.DISABLE_JIT:
            return function

        def call(typing_context, *arguments):
            def generate(context, builder, signature, values):
                numbers = []
                for type_, value in zip(signature.args, values, strict=True):
                    if isinstance(type_, types.Array):
                        array = context.make_array(type_)(context, builder, value)
                        strides = cgutils.unpack_tuple(builder, array.strides)
                        shape = cgutils.unpack_tuple(builder, array.shape)
                        numbers += [array.data, *strides, *shape]
                    elif isinstance(type_, types.Float):
                        numbers.append(value)
                    else:
                        numbers.append(context.cast(builder, value, type_, types.int64))
                name = ".".join([function.__name__, *(_kind(type_) for type_ in signature.args)])
                loop = builder.module.globals.get(name)
                if loop is None:
                    kinds = [number.type for number in numbers]
                    loop = ir.Function(builder.module, ir.FunctionType(ir.VoidType(), kinds), name)
                    loop.linkage = "linkonce_odr"  # one in a kernel, which makes it its own (see jit.py)
                    loop.attributes.add("noinline")
                    inside = ir.IRBuilder(loop.append_basic_block())
                    places = iter(loop.args)
                    write(inside, *(
                        _Array(inside, type_, context, [next(places) for _ in range(2 * type_.ndim + 1)])
                        if isinstance(type_, types.Array) else next(places) for type_ in signature.args
                    ))  # fmt: skip
                    inside.ret_void()
                builder.call(loop, numbers)
                return context.get_dummy_value()

            return types.void(*arguments), generate

        context = inspect.Parameter("typing_context", inspect.Parameter.POSITIONAL_OR_KEYWORD)
        call.__signature__ = inspect.Signature([context, *inspect.signature(function).parameters.values()])
        return intrinsic(call)

    return decorate


def _kind(type_):
    return f"{type_.dtype}{type_.ndim}{type_.layout}" if isinstance(type_, types.Array) else str(type_)


class _Array:
    """An array inside a loop written for LLVM; an address in it is an entry, from which on one can read a vector."""

    def __init__(self, builder, type_, context, numbers):
        self.builder, self.data = builder, builder.bitcast(numbers[0], byte.as_pointer())
        self.strides, self.sizes = numbers[1 : type_.ndim + 1], numbers[type_.ndim + 1 :]
        self.scalar, self.itemsize = context.get_data_type(type_.dtype), type_.dtype.bitwidth // 8
        if type_.layout != "A":  # there is an index in which entries are side by side: one register less for each array
            self.strides[-1 if type_.layout == "C" else 0] = int64(self.itemsize)
        self.length = VECTOR // self.itemsize
        self.vector = ir.VectorType(self.scalar, self.length)

    def at(self, *index):
        """The address of an entry; the last indices, if not given, are 0."""
        offset = int64(0)
        for i, stride in zip(index, self.strides, strict=False):
            offset = self.builder.add(offset, self.builder.mul(i, stride))
        return self.builder.gep(self.data, [offset])

    def beside(self, address, count):
        """The address `count` entries further on."""
        return self.builder.gep(address, [int64(count * self.itemsize)])

    def behind(self, address, count):
        """The same for a count that is known only inside the loop."""
        return self.builder.gep(address, [self.builder.mul(count, int64(self.itemsize))])

    def number(self, address):
        return self.builder.load(self.builder.bitcast(address, self.scalar.as_pointer()), align=self.itemsize)

    def row(self, address):
        """The vector from an address on."""
        return self.builder.load(self.builder.bitcast(address, self.vector.as_pointer()), align=self.itemsize)

    def write(self, value, address):
        self.builder.store(value, self.builder.bitcast(address, value.type.as_pointer()), align=self.itemsize)

    def copies(self, number):
        """A vector of copies of one number."""
        vector = ir.VectorType(number.type, self.length)
        single = self.builder.insert_element(ir.Constant(vector, ir.Undefined), number, int32(0))
        return self.builder.shuffle_vector(single, single, ir.Constant(ir.VectorType(int32, self.length), None))

    def counted(self, start):
        """The vector start, start + 1, ..."""
        return ir.Constant(ir.VectorType(int32, self.length), list(range(start, start + self.length)))

    def sums(self, count):
        """`count` vectors of zeros, which LLVM keeps in registers."""
        return [cgutils.alloca_once_value(self.builder, ir.Constant(self.vector, None)) for _ in range(count)]


byte, int32, int64 = ir.IntType(8), ir.IntType(32), ir.IntType(64)


def keep(builder, mask, lists, found):
    """Append the entries of vectors under a mask to lists, in their order, and count them in `found`.

    `lists` are triples (array, address of the list's beginning, vector). A list needs room for a whole vector behind
    its end. There is no branch on a single entry: which are kept cannot be predicted.
    """
    length, at = mask.type.count, builder.load(found)
    bits = ir.IntType(length)
    if COMPRESS:
        for array, start, vector in lists:
            name = f"llvm.experimental.vector.compress.v{length}{_SHORT[str(vector.type.element)]}"
            kind = ir.FunctionType(vector.type, [vector.type, mask.type, vector.type])
            function = cgutils.get_or_insert_function(builder.module, kind, name)
            nothing = ir.Constant(vector.type, ir.Undefined)
            array.write(builder.call(function, [vector, mask, nothing]), array.behind(start, at))
        count = builder.ctpop(builder.bitcast(mask, bits))
        builder.store(builder.add(at, builder.zext(count, int64)), found)
        return
    for e in range(length):
        for array, start, vector in lists:
            array.write(builder.extract_element(vector, int32(e)), array.behind(start, at))
        at = builder.add(at, builder.zext(builder.extract_element(mask, int32(e)), int64))
    builder.store(at, found)


_SHORT = {"float": "f32", "double": "f64", "i32": "i32"}

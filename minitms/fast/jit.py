"""All of Numba's machinery: how kernels are compiled, and how they are kept on disk.

Two promises rest on this file.

**Equal bits, compiled now or loaded from disk.** A compiled kernel holds a copy of every function that it calls, and
Numba lets the linker merge it with other copies, whichever it meets first: those of other kernels, or the function by
itself, which is in memory only if it was compiled in this process. Since sums may be reordered, two copies need not
round alike. Here the copies of a kernel are its own (`_Kernel`), and there is no function by itself (`_Inner`), which
would have to be compiled for nothing.

**No stale kernels.** Numba asks whether the file has changed in which a kernel stands, and of no other. Here a compiled
kernel is kept under a name made of all that it was compiled from, whichever file that stands in (`recipe`).
"""

from __future__ import annotations

import contextlib
import ctypes
import dis
import hashlib
import os
import pickle
import sys
import types
from functools import cached_property
from pathlib import Path

import llvmlite
import numba
import numpy as np
from llvmlite.binding import Linkage, parse_assembly
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler
from numba.core.typing.templates import builtin_registry

# The sums over examples may be reordered and fused. NaN and infinity stay visible.
FASTMATH = {"reassoc", "contract", "nsz", "arcp"}

OURS = __package__.partition(".")[0]  # the package: of others, their version says what they are
COMPILING = []  # names of the functions that are being compiled at this moment, by whatever thread
NOT_KEPT = []  # names of the kernels for whose code there is no folder

CHECK = 32  # bytes before the compiled code in a file: their SHA-256


def kernel(function=None, **options):
    """Compile a function that Python calls: free of the global lock, and kept on disk if a folder can be written."""
    if function is None:
        return lambda f: kernel(f, **options)
    options = {"fastmath": FASTMATH, "nogil": True, "no_cfunc_wrapper": True, "error_model": "numpy", **options}
    try:
        dispatcher = numba.njit(cache=True, pipeline_class=_compiler(_Kernel), **options)(function)
    except RuntimeError:  # there is no such folder
        NOT_KEPT.append(function.__qualname__)
        return numba.njit(pipeline_class=_compiler(_Kernel), **options)(function)
    if dispatcher is not function:  # as it is under NUMBA_DISABLE_JIT
        cache = dispatcher._cache
        cache._cache_file = _Files(cache.cache_path, function, options)
    return dispatcher


def inner(function=None, apart=False, **options):
    """Compile a function that only kernels call, with them; or `apart` from them, if it is a loop worth a call.

    Inside a large kernel the compiler looks less closely at a loop.
    """
    if function is None:
        return lambda f: inner(f, apart, **options)
    library = _Apart if apart else _Inner
    # Without wrappers and reference counts (`_nrt`) there is a quarter less to compile.
    lean = {"no_cfunc_wrapper": True, "no_cpython_wrapper": True, "_nrt": False, "pipeline_class": _compiler(library)}
    return numba.njit(**{"fastmath": FASTMATH, "error_model": "numpy", **lean, **options})(function)


class _Kernel(JITCodeLibrary):
    """The code of a kernel and, once it is linked, of all that it calls: these copies serve nobody else."""

    def _optimize_final_module(self):
        for function in self._final_module.functions:
            if not function.is_declaration and function.linkage == Linkage.linkonce_odr:
                function.linkage = Linkage.internal
        super()._optimize_final_module()


class _Inner(JITCodeLibrary):
    """The code of a function that is there to be linked into kernels, and neither optimized nor run by itself."""

    def _optimize_functions(self, module):
        module.data_layout = self._codegen._data_layout

    def _optimize_final_module(self):
        pass

    def _finalize_final_module(self):
        self._finalize_dynamic_globals()
        for variable in self._final_module.global_variables:
            if variable.name.startswith("_ZN08NumbaEnv"):  # Numba will write to it, so there must be such a place
                place = parse_assembly(f'@"{variable.name}" = global ptr null')
                place.data_layout, place.triple = self._codegen._data_layout, self._final_module.triple
                self._codegen._add_module(place)
        self._finalized = True

    def get_pointer_to_function(self, name):
        """Where a call from Python ends: in a TypeError that a closure is not callable."""
        self._ensure_finalized()
        return ctypes.cast(ctypes.pythonapi.PyObject_Call, ctypes.c_void_p).value


class _Apart(_Inner):
    """The same, of a function that stays one by itself inside of a kernel."""

    def _finalize_final_module(self):
        for function in self._final_module.functions:
            if not function.is_declaration and function.linkage == Linkage.external:
                function.add_function_attribute("noinline")
        super()._finalize_final_module()


def _compiler(library):
    """Numba's compiler, with a library of ours for the code."""

    class OurCompiler(Compiler):
        def __init__(self, typing_context, target_context, given, *rest):
            ours = given or library(target_context.codegen(), library.__name__)
            ours.enable_object_caching()
            super().__init__(typing_context, target_context, ours, *rest)

        def compile_extra(self, function):
            COMPILING.append(function.__qualname__)
            try:
                return super().compile_extra(function)
            finally:
                COMPILING.remove(function.__qualname__)

    OurCompiler.__qualname__ = library.__name__
    return OurCompiler


def compiling() -> str:
    """What somebody who waits should know: empty if nothing is being compiled."""
    if not COMPILING:
        return ""
    return "compiling anew; NUMBA_CACHE_DIR=FOLDER keeps it" if NOT_KEPT else "compiling, once"


def recipe(function) -> str:
    """All that a function is compiled from: its code, and the values and functions that it names, and theirs.

    So are options, and what stands in for a function when it is compiled (`overload`).
    """
    texts, seen = [], set()

    def write(value):
        if hasattr(value, "targetoptions"):
            texts.append(f"{_ordered(value.targetoptions)} {value._compiler.pipeline_class.__qualname__}")
        value = getattr(value, "py_func", getattr(value, "_defn", value))  # of a compiled function, or an intrinsic
        if isinstance(value, type) and value.__module__.startswith(OURS):
            if value not in seen:
                seen.add(value)
                for part in (*value.__bases__, *vars(value).values()):
                    if isinstance(part, (type, types.FunctionType)):
                        write(part)
        elif isinstance(value, types.FunctionType):
            if value not in seen and str(value.__module__).partition(".")[0] not in ("numba", "llvmlite", "numpy"):
                seen.add(value)
                cells = [cell.cell_contents for cell in value.__closure__ or ()]
                free = dict(zip(value.__code__.co_freevars, cells, strict=True))
                write_code(value.__code__, value.__globals__ | free)
                write((value.__defaults__, *(value.__kwdefaults__ or {}).items()))
                for overload in _overloads(value):
                    texts.append(f"{_ordered(overload._jit_options)} {overload._inline.value}")
                    write(overload._overload_func)
        elif isinstance(value, (tuple, list)):
            texts.append(f"{type(value).__name__} of {len(value)}")
            for part in value:
                write(part)
        elif isinstance(value, (set, frozenset)):
            texts.append(f"{type(value).__name__} {sorted(map(repr, value))}")
        elif isinstance(value, np.ndarray):
            texts.append(f"{value.dtype}{value.shape}{value.tobytes()}")
        else:
            texts.append(f"{type(value).__name__} {value!r}")

    def write_code(code, names):
        texts.append(f"{code.co_name} {code.co_code!r} {code.co_varnames} {code.co_names}")
        for constant in code.co_consts:
            if isinstance(constant, types.CodeType):
                write_code(constant, names)
            else:
                write(constant)
        # An attribute may have the name of a global that is nothing to it, so not all of co_names.
        loaded = {step.argval for step in dis.get_instructions(code) if step.opname == "LOAD_GLOBAL"}
        for name in (*sorted(loaded), *code.co_freevars):
            if not isinstance(names.get(name), types.ModuleType):
                if name in names:
                    write(names[name])
            elif names[name].__name__.startswith(OURS):
                for part in sorted(vars(names[name]).keys() & set(code.co_names)):
                    write(vars(names[name])[part])

    write(function)
    return "\n".join(texts)


def _overloads(function):
    """What numba.extending.overload has been told to compile in place of a function, and how."""
    found = (type_ for known, type_ in builtin_registry.globals if known is function and hasattr(type_, "templates"))
    return [template for type_ in found for template in type_.templates if hasattr(template, "_overload_func")]


def _ordered(options):
    """A set has no order of its own."""
    return sorted((options | {"fastmath": sorted(options.get("fastmath") or ())}).items())


def _layout(type_):
    """A type's name; and of a NamedTuple the fields, in the order in which they are compiled, which it does not say."""
    parts = [_layout(part) for part in type_] if isinstance(type_, numba.types.BaseTuple) else ()
    return str(type_), getattr(type_, "fields", ()), parts


class _Files:
    """The compiled code of one kernel on disk, a file for each signature; it stands in for the index of Numba's cache.

    Such an index is read, changed and written by every process that compiles; two at once may mix up its entries.
    """

    def __init__(self, folder, function, options):
        self.folder, self.function, self.options = Path(folder), function, _ordered(options)

    @cached_property
    def recipe(self):
        return _digest(recipe(self.function), self.options)

    def path(self, key):
        """FUNCTION-HOST-RECIPE.nbc: for what types and processor it was compiled, and from what."""
        versions = numba.__version__, llvmlite.__version__, sys.implementation.cache_tag
        host = _digest(key[:2], [_layout(type_) for type_ in key[0]], versions)  # the rest of the key is our recipe
        return self.folder / f"{_name(self.function)}-{host}-{self.recipe}.nbc"

    def load(self, key):
        with contextlib.suppress(OSError):
            saved = self.path(key).read_bytes()
            check, data = saved[:CHECK], saved[CHECK:]
            if hashlib.sha256(data).digest() == check:  # else it is damaged: compile anew
                return pickle.loads(data)

    def save(self, key, data):
        path = self.path(key)
        temporary = path.with_name(f"{path.name}.{os.urandom(8).hex()}.tmp")
        with contextlib.suppress(OSError):  # a full disk is no reason to stop: it will be compiled again
            try:
                data = numba.core.serialize.dumps(data)
                temporary.write_bytes(hashlib.sha256(data).digest() + data)
                os.replace(temporary, path)
            finally:
                temporary.unlink(missing_ok=True)
            for stale in self.folder.glob(f"{path.stem.rpartition('-')[0]}-*.nbc"):
                if stale != path:
                    stale.unlink(missing_ok=True)

    def flush(self):
        """Nothing to forget: no other recipe finds these files."""


def _name(function) -> str:
    """A function's name and, since another function may make many of that name, those of what it was made of."""
    function = getattr(function, "py_func", function)
    parts = [cell.cell_contents for cell in getattr(function, "__closure__", None) or ()]
    return ".".join([function.__name__, *(_name(part) for part in parts if callable(part))])


def _digest(*parts) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]

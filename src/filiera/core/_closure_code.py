"""What a code object does and what it reaches, read from its instructions.

Two code objects get the same digest when they do the same: file name, line numbers, formatting, comments and docstrings
are left out. Instructions are numbered anew without padding, jumps point at these numbers, and constants are written in
the order of first use, so that a docstring or a blank line shifts nothing.
"""

from __future__ import annotations

import opcode
import struct
from collections.abc import Callable, Iterator, Mapping
from types import CodeType
from typing import Any

from filiera.core.digest import digest
from filiera.core.value import dataclass

Chain = tuple[str, ...]
"""A name, and the attributes read from it one after the other: ``helpers.io.load`` is ("helpers", "io", "load")."""


@dataclass(frozen=True, slots=True, order=True)
class Import:
    """Something an import statement inside a function binds, and how it is used."""

    level: int  #: leading dots
    module: str  #: the name after ``import`` or ``from``
    from_list: bool  #: ``from m import …``: the path starts at m; else at the first name of m
    path: Chain  #: attributes read


@dataclass(frozen=True, slots=True)
class CodeFacts:
    """One code object with all that are nested in it."""

    digest: str
    loads: tuple[Chain, ...]  #: global names with the attributes read from them, sorted
    imports: tuple[Import, ...]  #: sorted


_MAP: Mapping[str, int] = opcode.opmap
_CACHE = 0  # the number of CACHE since Python 3.11: room for the interpreter's notes, no instruction
_SKIPPED = frozenset((_CACHE, _MAP["NOP"]))
_EXTENDED_ARG = _MAP["EXTENDED_ARG"]
_JUMPS = {op: -1 if "BACKWARD" in opcode.opname[op] else 1 for op in opcode.hasjrel if op < 256}
_WITH_CONSTANT = frozenset(op for op in opcode.hasconst if op < 256)
_WITH_LOCAL = frozenset(op for op in opcode.haslocal if op < 256)
_LOAD_SMALL_INT = _MAP.get("LOAD_SMALL_INT", -1)
_CONSTANTS_LOADED = _WITH_CONSTANT | {_LOAD_SMALL_INT}
_LOAD_GLOBAL = _MAP["LOAD_GLOBAL"]
_LOAD_ATTR = _MAP["LOAD_ATTR"]
_LOAD_METHOD = _MAP.get("LOAD_METHOD", -1)
_LOAD_FAST = _MAP["LOAD_FAST"]
_STORE_FAST = _MAP["STORE_FAST"]
_STORE_NAME = _MAP["STORE_NAME"]
_POP_TOP = _MAP["POP_TOP"]
_IMPORT_NAME = _MAP["IMPORT_NAME"]
_IMPORT_FROM = _MAP["IMPORT_FROM"]
_STORES = frozenset(_MAP[name] for name in ("STORE_FAST", "STORE_NAME", "STORE_GLOBAL", "STORE_DEREF"))
_BY_NAME = frozenset(_MAP[name] for name in ("LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS") if name in _MAP)
_ATTR_SHIFT = 0 if "LOAD_METHOD" in _MAP and "LOAD_SUPER_ATTR" not in _MAP else 1  # a flag in the lowest bit since 3.12
_SAME = {_MAP[name]: _LOAD_FAST for name in ("LOAD_FAST_CHECK", "LOAD_FAST_BORROW") if name in _MAP}
# Python 3.13 joins two such instructions when they stand on one line: formatting, for us.
_PAIRS = {
    _MAP[name]: pair
    for name, pair in {
        "LOAD_FAST_LOAD_FAST": (_LOAD_FAST, _LOAD_FAST),
        "LOAD_FAST_BORROW_LOAD_FAST_BORROW": (_LOAD_FAST, _LOAD_FAST),
        "STORE_FAST_LOAD_FAST": (_STORE_FAST, _LOAD_FAST),
        "STORE_FAST_STORE_FAST": (_STORE_FAST, _STORE_FAST),
    }.items()
    if name in _MAP
}
_FLAGS = 0x3FF  # what a call does (varargs, generator, coroutine); not which ``from __future__`` the module has
_OUTSIDE_MEANING = frozenset(("__doc__", "__firstlineno__", "__static_attributes__"))
"""What the body of a class stores without being told to."""
_NAME_SHIFTS = dict.fromkeys(opcode.hasname, 0) | {_LOAD_GLOBAL: 1, _LOAD_ATTR: _ATTR_SHIFT}
_NAME_SHIFTS |= {_MAP[name]: 2 for name in ("LOAD_SUPER_ATTR",) if name in _MAP}

_facts: dict[int, tuple[CodeType, CodeFacts]] = {}


def facts_of(code: CodeType) -> CodeFacts:
    """Return what *code* does and reaches; read once per code object and process."""
    known = _facts.get(id(code))
    if known is not None:
        return known[1]
    facts = _Reading(code).facts()
    _facts[id(code)] = (code, facts)  # the code object is kept, or its id would be given away
    return facts


def constant_bytes(value: Any) -> bytes:
    """Return bytes that are equal exactly for equal constants of equal types; -0.0, NaN and True stay apart.

    Raises:
        KeyError: The value is not of a type that the compiler makes constants of.

    >>> constant_bytes(1) == constant_bytes(True), constant_bytes((1, 2)) == constant_bytes((1, 2))
    (False, True)
    """
    tag, write = _CONSTANTS[type(value)]
    content = write(value)
    return b"%b%d:%b" % (tag, len(content), content)


ATOMS: dict[type, tuple[bytes, Callable[[Any], bytes]]] = {
    type(None): (b"n", lambda value: b""),
    type(...): (b".", lambda value: b""),
    bool: (b"?", lambda value: b"1" if value else b"0"),
    int: (b"i", lambda value: b"%x" % value),
    float: (b"f", lambda value: struct.pack(">d", value)),
    complex: (b"j", lambda value: struct.pack(">dd", value.real, value.imag)),
    str: (b"s", lambda value: value.encode("utf-8", "surrogatepass")),
    bytes: (b"b", lambda value: value),
}
"""Types whose values are their own whole content: a tag of one byte, and how to write them."""

_CONSTANTS: dict[type, tuple[bytes, Callable[[Any], bytes]]] = {
    **ATOMS,
    tuple: (b"(", lambda value: b"".join(map(constant_bytes, value))),
    frozenset: (b"{", lambda value: b"".join(sorted(map(constant_bytes, value)))),
    slice: (b"[", lambda value: b"".join(map(constant_bytes, (value.start, value.stop, value.step)))),
    CodeType: (b"c", lambda value: facts_of(value).digest.encode()),
}


def imports_of(code: CodeType) -> Iterator[tuple[str, Import]]:
    """Yield what a module's top-level *code* imports: the name it is bound to ("*" for all), and from where."""
    reading = _Reading(code)
    for at, op in enumerate(reading.ops):
        if op == _IMPORT_NAME:
            bound = list(reading.bound_by(at))
            for store, found in bound:
                yield reading.names[reading.args[store]], found
            if not bound:
                level, module, _ = reading.import_at(at)
                yield "*", Import(level, module, True, ())


class _Reading:
    """One pass over the instructions of one code object."""

    def __init__(self, code: CodeType) -> None:
        self.code = code
        self.ops: list[int] = []
        self.args: list[int] = []
        self.names = code.co_names
        self.position = self._number_instructions()
        if not _OUTSIDE_MEANING.isdisjoint(self.names):
            self._number_names()

    def facts(self) -> CodeFacts:
        code = self.code
        constants, numbered = self._constants()
        nested = [facts_of(value) for value in constants if type(value) is CodeType]
        counts = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags & _FLAGS)
        names = (code.co_name, self.names, code.co_varnames, code.co_freevars, code.co_cellvars)
        own = digest(
            "code/1",
            constant_bytes((counts, names)),
            struct.pack(f"<{2 * len(self.ops)}I", *self.ops, *numbered),
            struct.pack(f"<{len(table)}I", *table) if (table := list(self._exceptions())) else b"",
            constant_bytes(constants),
        )
        loads = set(self._loads()).union(*(inner.loads for inner in nested))
        imports = set(self._imports()).union(*(inner.imports for inner in nested))
        return CodeFacts(own, tuple(sorted(loads)), tuple(sorted(imports)))

    def _number_instructions(self) -> list[int]:
        """Fill ``ops`` and ``args``; return for each unit of the raw code the number of the instruction there."""
        raw = self.code.co_code
        ops, args = self.ops, self.args
        position: list[int] = []
        jumps: list[tuple[int, int, int]] = []
        extended = 0
        for unit, (op, low) in enumerate(zip(raw[::2], raw[1::2], strict=True)):
            position.append(len(ops))
            if op in _SKIPPED:
                continue
            arg = extended | low
            if op == _EXTENDED_ARG:
                extended = arg << 8
                continue
            extended = 0
            if op == _STORE_NAME and self.names[arg] in _OUTSIDE_MEANING and ops and ops[-1] in _CONSTANTS_LOADED:
                ops.pop()
                args.pop()
                continue
            if op in _PAIRS:
                ops += _PAIRS[op]
                args += (arg >> 4, arg & 15)
                continue
            if op in _JUMPS:
                jumps.append((len(ops), unit, _JUMPS[op]))
            ops.append(_SAME.get(op, op))
            args.append(arg)
        position.append(len(ops))
        for at, unit, direction in jumps:
            after = unit + 1
            while 2 * after < len(raw) and raw[2 * after] == _CACHE:
                after += 1
            args[at] = position[after + direction * args[at]]
        return position

    def _constants(self) -> tuple[tuple[Any, ...], list[int]]:
        """Return the constants in order of first use, and the arguments with the constants' new numbers."""
        numbers: dict[int, int] = {}
        arguments = list(self.args)
        for at, op in enumerate(self.ops):
            if op in _WITH_CONSTANT:
                arguments[at] = numbers.setdefault(arguments[at], len(numbers))
        return tuple(self.code.co_consts[old] for old in numbers), arguments

    def _number_names(self) -> None:
        """Leave out the names that no instruction is left for, and have the others' arguments number what remains."""
        uses = [(at, _NAME_SHIFTS[op]) for at, op in enumerate(self.ops) if op in _NAME_SHIFTS]
        used = {self.names[self.args[at] >> shift] for at, shift in uses}
        kept = [name for name in self.names if name in used or name not in _OUTSIDE_MEANING]
        for at, shift in uses:
            arg = self.args[at]
            self.args[at] = kept.index(self.names[arg >> shift]) << shift | arg & (1 << shift) - 1
        self.names = tuple(kept)

    def _exceptions(self) -> Iterator[int]:
        numbers = iter(self.code.co_exceptiontable)
        for first in numbers:
            start = _number(first, numbers)
            length, target, depth = (_number(next(numbers), numbers) for _ in range(3))
            begin, end = self.position[start], self.position[start + length]
            if begin < end:
                yield from (begin, end, self.position[target], depth)

    def _attributes(self, at: int) -> Chain:
        """Return the attributes that are read from what instruction *at* loads."""
        found = []
        for here in range(at + 1, len(self.ops)):
            op = self.ops[here]
            if op != _LOAD_ATTR and op != _LOAD_METHOD:
                break
            found.append(self.names[self.args[here] >> (_ATTR_SHIFT if op == _LOAD_ATTR else 0)])
        return tuple(found)

    def _loads(self) -> Iterator[Chain]:
        names = self.names
        for at, op in enumerate(self.ops):
            if op == _LOAD_GLOBAL:
                yield (names[self.args[at] >> 1], *self._attributes(at))
            elif op in _BY_NAME:
                yield (names[self.args[at]], *self._attributes(at))

    def import_at(self, at: int) -> tuple[int, str, bool]:
        """Return level, module name and whether names are listed, of the import at instruction *at*."""
        level = self.args[at - 2]
        if self.ops[at - 2] != _LOAD_SMALL_INT:
            level = self.code.co_consts[level]
        listed = self.code.co_consts[self.args[at - 1]]
        return level, self.names[self.args[at]], listed is not None

    def bound_by(self, at: int) -> Iterator[tuple[int, Import]]:
        """Yield the storing instructions of the import at instruction *at*, with what each of them stores."""
        level, module, from_list = self.import_at(at)
        path: Chain = ()
        for here in range(at + 1, len(self.ops)):
            op = self.ops[here]
            if op == _IMPORT_FROM:
                name = self.names[self.args[here]]
                path = (name,) if from_list else (*path, name)
            elif op in _STORES and self.ops[here - 1] in (_IMPORT_NAME, _IMPORT_FROM):
                yield here, Import(level, module, from_list, path)
                if not from_list:
                    return
            elif op == _IMPORT_NAME or (op in _STORES and not path) or (op == _POP_TOP and from_list):
                return

    def _imports(self) -> Iterator[Import]:
        if _IMPORT_NAME not in self.ops:
            return
        for at in [at for at, op in enumerate(self.ops) if op == _IMPORT_NAME]:
            bound = list(self.bound_by(at))
            for store, found in bound:
                yield from self._uses(store, found)
            if not bound:
                level, module, _ = self.import_at(at)
                yield Import(level, module, True, ())

    def _uses(self, store: int, found: Import) -> Iterator[Import]:
        """Yield *found* with the attributes read from it, or as a whole when it goes to places not followed here."""
        if self.ops[store] != _STORE_FAST:
            yield found
            return
        local = self.args[store]
        touched = [at for at, op in enumerate(self.ops) if op in _WITH_LOCAL and self.args[at] == local and at != store]
        local_only = all(self.ops[at] == _LOAD_FAST for at in touched)
        if not local_only or (found.from_list and not touched):
            yield found
        for at in touched:
            if self.ops[at] == _LOAD_FAST:
                yield Import(found.level, found.module, found.from_list, (*found.path, *self._attributes(at)))


def _number(first: int, following: Iterator[int]) -> int:
    """Return one number of an exception table: six bits a byte, the seventh says that more follow."""
    value = first & 63
    while first & 64:
        first = next(following)
        value = value << 6 | (first & 63)
    return value

"""Generated programs that use most of the language, and edits to them: any that could matter, and some that cannot."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator, Sequence

from hypothesis import strategies as st

Program = dict[str, str]
"""The texts of a project's modules, by their names; ``start`` of ``traffic`` is where it begins."""

CALLS = (
    "plain({0})",
    "plain({0}, by=3)",
    "plain({0}, shift={1})",
    "decorated({0})",
    "moved({0})",
    "halved({0})",
    'TABLE["a"]({0})',
    'TABLE["b"]({0})',
    "helpers.caught({0})",
    "helpers.counted({0})",
    "helpers.matched({0})",
    "helpers.summed({0})",
    "helpers.THING.grow({0})",
    "helpers.THING({0})",
    "helpers.Thing({0}).grow({1})",
    "helpers.Thing({0}).doubled",
    "helpers.Thing.still({0})",
    "helpers.Thing.rated({0})",
    "(helpers.Thing({0}) + {1})",
    "len(helpers.Thing({0}))",
    "shown({0})",
    "remembered({0})",
    "helpers.Point({0}).norm()",
    "helpers.Point(tags={0}).norm()",
    "helpers.Colour.RED.value",
    "helpers.Colour(2).shade({0})",
    "helpers.closed({0})",
    "base.scale({0})",
    "with_context({0})",
)
ATOMS = ("x", "x", "x", "1", "2", "-3", "K0", "K1", 'D["a"]', 'D["b"][0]', "T[1]", "base.BASE")
OPERATORS = ("{0} + {1}", "{0} - {1}", "{0} * {1}", "({0} if {1} > 2 else {0} + 1)", "max({0}, {1})", "{0} % 7 + {1}")

HELPERS = '''
import contextlib
import enum
import functools
from dataclasses import dataclass, field
from traffic import base
from traffic.base import other, scale as scaled

K0 = 3
K1 = 5
D = {{"a": 4, "b": [1, 2]}}
T = (1, 2)

def plain(x, by=2, *, shift=1):
    return {0} + by * shift

def plus(n, times=1):
    def wrap(function):
        @functools.wraps(function)
        def inner(x):
            return function(x) * times + n
        return inner
    return wrap

@plus(5)
@plus(1, times=2)
def decorated(x):
    return {1} + other(x)

def make(k):
    count = k + 1
    def inner(x):
        nonlocal count
        count = k + 2
        return {2} + k + count
    return inner

moved = make(7)
halved = functools.partial(plain, by=4)
TABLE = {{"a": plain, "b": lambda x: {3}}}

def caught(x):
    try:
        if x > 100:
            raise KeyError(x)
        return 10 // (x - 2)
    except (ZeroDivisionError, KeyError):
        return {4}
    finally:
        K0

def counted(x):
    found = [i * 2 for i in range(abs(x) % 5) if i != 1]
    found += {{j for j in (1, 2, 3) if j > x}}
    return sum(found) + len({{k: k for k in found}})

def matched(x):
    match x % 3:
        case 0:
            return {5}
        case 1 if x > 0:
            return 11
        case _:
            return 13

def generated(n):
    yield 1
    yield from (i + 1 for i in range(abs(n) % 4))

def summed(x):
    total = 0
    for number in generated(x):
        total += number
    return total + scaled(x)

class Base:
    rate = 2

    def grow(self, x):
        return x * self.rate + {6}

    def __len__(self):
        return 3

class Thing(Base):
    """A thing."""

    def __init__(self, size):
        self.size = size

    def grow(self, x):
        return super().grow(x) + self.size

    @property
    def doubled(self):
        return self.size * 2

    @staticmethod
    def still(x):
        return {7}

    @classmethod
    def rated(cls, x):
        return cls.rate + x

    def __call__(self, x):
        return self.grow(x) - 1

    def __add__(self, more):
        return self.size + more + 2

THING = Thing(4)

class Colour(enum.Enum):
    RED = 1
    BLUE = 2

    def shade(self, x):
        return self.value + x

@dataclass(frozen=True)
class Point:
    x: int = 3
    tags: int = field(default=2)

    def norm(self):
        return abs(self.x) + self.tags

@functools.singledispatch
def shown(x):
    return 1

@shown.register
def _(x: int):
    return {8}

@functools.lru_cache(maxsize=4)
def remembered(x):
    return {9}

def closed(x):
    y = x
    def inner():
        return y + 1
    y = y + K1
    return inner()

@contextlib.contextmanager
def context(x):
    yield x + 1

def with_context(x):
    with context(x) as found:
        return found * 2
'''
BASE = """
BASE = 6
OTHER = 2

def scale(x):
    return x * BASE

def other(x):
    return x - OTHER

def third(x):
    return x + 21
"""
START = """
import traffic.helpers as helpers
from traffic import base
from traffic.helpers import *
from traffic.helpers import with_context

def start(x):
    from traffic.lazy import late
    def local(y=2, *rest, **named):
        return y + len(rest) + named.get("z", 1)
    class Inner:
        size = 4
        def grow(self):
            return self.size + 1
    found = [{0}, {1}, {2}]
    found.append(local(x) + local(x, 1, z=3) + Inner().grow() + late(x))
    found += [(lambda z: z + 1)(x), f"{{x:>4}}", x if not x > 1 else -x]
    return found
"""
LAZY = """
DEPTH = 2

def late(x):
    return x + DEPTH
"""


@st.composite
def expressions(draw: st.DrawFn, calls: tuple[str, ...], depth: int = 3) -> str:
    """Return an expression in x."""
    kind = draw(st.integers(0, 3)) if depth else 0
    if kind == 0:
        return draw(st.sampled_from(ATOMS))
    form = draw(st.sampled_from(calls if kind == 1 and calls else OPERATORS))
    inner = expressions(calls, depth - 1)
    return "(" + form.format(draw(inner), draw(inner)) + ")"


_EVERYTHING = (
    *(form.format("x", "1") for form in CALLS),
    "bool(helpers.Thing(x))",
)


def whole_program() -> Program:
    """Return the program that uses everything there is."""
    bodies = [
        "x + K0",
        "x * 2",
        "x + 1",
        "x - K1",
        'x + D["a"]',
        "x + T[1]",
        "x + 2",
        "x + 3",
        "x + 4",
        "x + base.BASE",
    ]
    return _program(("[" + ", ".join(_EVERYTHING) + "]", "x", "K1"), bodies)


def _program(calls: Sequence[str], bodies: Sequence[str]) -> Program:
    texts = {"__init__": START.format(*calls), "helpers": HELPERS.format(*bodies), "base": BASE, "lazy": LAZY}
    return {name: ast.unparse(ast.parse(text)) for name, text in texts.items()}


@st.composite
def programs(draw: st.DrawFn) -> Program:
    """Return a program: helpers compute with constants, and what begins with all of them."""
    bodies = [draw(expressions(())) for _ in range(10)]
    return _program([draw(expressions(CALLS, 4)) for _ in range(3)], bodies)


ADDED = (
    "K0 = K1",
    "K1 += 1",
    'D["a"] = 9',
    "plain = decorated",
    "Thing.grow = lambda self, x: x",
    "Base.rate = 7",
    "setattr(Thing, 'still', staticmethod(lambda x: 0))",
    "base.BASE = 8",
    "base.scale = base.third",
    "THING.size = 11",
    "TABLE['b'] = plain",
    "Thing.__len__ = lambda self: 8",
    "Base.__bool__ = lambda self: False",
    "plain.__defaults__ = (9,)",
    "moved = make(8)",
    "Point.norm = Thing.still",
)
"""What the end of ``helpers`` may do to what was defined before."""
_SWAPPED: dict[type[ast.AST], type[ast.AST]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.Mod: ast.Add,
    ast.FloorDiv: ast.Sub,
    ast.Gt: ast.LtE,
    ast.NotEq: ast.Eq,
    ast.Not: ast.USub,
}
_NAMES = ("plain", "decorated", "moved", "halved", "K0", "K1", "shown", "remembered", "scaled", "other")
_ATTRIBUTES = ("grow", "still", "rated", "caught", "counted", "matched", "summed", "closed", "size", "rate", "scale")


def edits(tree: ast.Module) -> list[Callable[[], None]]:
    """Return what can be changed in a module, as functions that change its tree."""
    found: list[Callable[[], None]] = []
    for node in ast.walk(tree):
        found += _edits_of(node)
    return found


def _edits_of(node: ast.AST) -> Iterator[Callable[[], None]]:
    def put(name: str, value: object) -> Callable[[], None]:
        return lambda: setattr(node, name, value)

    match node:
        case ast.Constant(value=bool() as value):
            yield put("value", not value)
        case ast.Constant(value=int() as value):
            yield from (put("value", other) for other in (value + 1, -value, float(value)))
        case ast.Constant(value=str() as value):
            yield put("value", value + "!")
        case ast.BinOp(left=left, op=op, right=right):
            yield lambda: (setattr(node, "left", right), setattr(node, "right", left))[0]
            if type(op) in _SWAPPED:
                yield put("op", _SWAPPED[type(op)]())
        case ast.Compare(ops=[op]) if type(op) in _SWAPPED:
            yield put("ops", [_SWAPPED[type(op)]()])
        case ast.UnaryOp(op=op) if type(op) in _SWAPPED:
            yield put("op", _SWAPPED[type(op)]())
        case ast.IfExp(body=body, orelse=orelse):
            yield lambda: (setattr(node, "body", orelse), setattr(node, "orelse", body))[0]
        case ast.Name(id=name, ctx=ast.Load()) if name in _NAMES:
            yield from (put("id", other) for other in _NAMES if other != name)
        case ast.Attribute(attr=name) if name in _ATTRIBUTES:
            yield from (put("attr", other) for other in _ATTRIBUTES if other != name)
        case ast.Call(keywords=[_, *rest]):
            yield put("keywords", rest)
        case ast.Call(args=[first, second]):
            yield put("args", [second, first])
        case ast.ExceptHandler(type=ast.Tuple(elts=[_, *_])):
            yield put("type", ast.Name("ValueError", ast.Load()))
        case ast.comprehension(ifs=[_, *_]):
            yield put("ifs", [])
        case ast.ImportFrom(names=[ast.alias(name="other") as alias, *_]):
            yield lambda: (setattr(alias, "asname", "other"), setattr(alias, "name", "third"))[0]
        case ast.Return(value=ast.expr()):
            yield put("value", None)
    if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.decorator_list:
        yield put("decorator_list", node.decorator_list[1:])
        yield put("decorator_list", node.decorator_list[::-1])
    if isinstance(node, ast.ClassDef) and node.bases and node.name != "Colour":
        yield put("bases", [])
    if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Module | ast.For | ast.With) and len(node.body) > 1:
        yield from (put("body", node.body[:at] + node.body[at + 1 :]) for at in range(len(node.body)))
    if isinstance(node, ast.arguments) and len(node.args) > 1:
        yield put("args", node.args[::-1])


@st.composite
def changed(draw: st.DrawFn, program: Program) -> Program:
    """Return a program with one to three edits, anywhere."""
    result = dict(program)
    for _ in range(draw(st.integers(1, 3))):
        if draw(st.integers(0, 9)) == 0:
            result["helpers"] += "\n" + draw(st.sampled_from(ADDED))
            continue
        name = draw(st.sampled_from(sorted(result)))
        tree = ast.parse(result[name])
        possible = edits(tree)
        if possible:
            draw(st.sampled_from(possible))()
        result[name] = ast.unparse(ast.fix_missing_locations(tree))
    return result


def _with_docstrings(text: str) -> str:
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Module):
            if ast.get_docstring(node) is not None:
                node.body = node.body[1:] or [ast.Pass()]
            node.body = [ast.Expr(ast.Constant(f"Words about line {getattr(node, 'lineno', 0)}.")), *node.body]
    return ast.unparse(ast.fix_missing_locations(tree))


def _with_comments(text: str) -> str:
    return "\n".join(f"{line}  # what this does\n" for line in text.split("\n"))


def _with_blank_lines(text: str) -> str:
    return "# a head\n\n\n" + text.replace("\n", "\n\n")


def _indented_otherwise(text: str) -> str:
    return re.sub(r"^( {4})+", lambda found: " " * (len(found[0]) // 2), text, flags=re.MULTILINE)


def _in_parentheses(text: str) -> str:
    return re.sub(r"return (.+)$", r"return (\n\1\n)", text, flags=re.MULTILINE)


def _with_unused(text: str) -> str:
    return "import zlib\nUNUSED = 1\n" + text + "\ndef unused(x):\n    return x + UNUSED\nclass Unused:\n    pass\n"


def _annotated(text: str) -> str:
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name in ("plain", "caught", "scale", "late", "start"):
            node.args.args[0].annotation = ast.Name("float", ast.Load())
    return ast.unparse(ast.fix_missing_locations(tree))


def _with_functions_turned(text: str) -> str:
    """Swap functions next to each other, of a module and of its classes."""
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef):
            body = node.body
            for at in range(len(body) - 1):
                if all(isinstance(one, ast.FunctionDef) and not one.decorator_list for one in body[at : at + 2]):
                    body[at], body[at + 1] = body[at + 1], body[at]
    return ast.unparse(tree)


def _spelled_otherwise(text: str) -> str:
    return re.sub(r"(?<![\w.>])(\d)(?![\w.])", lambda found: f"0x{int(found[1]):x}", text)


LOOKS = (
    _with_docstrings,
    _with_comments,
    _with_blank_lines,
    _indented_otherwise,
    _in_parentheses,
    _with_unused,
    _annotated,
    _with_functions_turned,
    _spelled_otherwise,
)
"""Edits that change no result, whatever the program."""

"""A small project that uses most of the language, and changes to it that must, or must not, be seen in a closure."""

from __future__ import annotations

from dataclasses import dataclass

START = ("traffic.data", "clean")

FILES = {
    "filiera.toml": "",
    "traffic/__init__.py": '''"""The package."""
EDITION = 3
UNUSED_EDITION = 1
''',
    "traffic/limits.py": '''
import datetime as dt
import re
import threading
from decimal import Decimal
from pathlib import Path

THRESHOLD = 10
RATIO = 1.0
ZERO = 0.0
LABEL = "x"
FLAG = True
WINDOW = dt.timedelta(hours=1)
PRICE = Decimal("1.10")
PATTERN = re.compile("a+")
HERE = Path(__file__).parent
TABLE = Path(__file__).resolve().parent.parent / "data" / "table.csv"
TEXT_PATH = str(HERE) + "/x.txt"
NAMES = {"tcp", "udp", "icmp", "sctp"}
WEIGHTS = {"tcp": 1, "udp": 2}
NESTED = [(1, [2, {"deep": 3}])]
STREAM = None
LOCK = threading.Lock()
UNUSED = 5


class Grid:
    """Not a plain type."""

    def __init__(self, size):
        self.size = size
        self.cells = [[0] * size]
        self.me = self

    def area(self):
        return self.size ** 2


GRID = Grid(4)
''',
    "traffic/lazy.py": """
DEPTH = 2
def late(x):
    return x + DEPTH
def later(x):
    return x
def latest(x):
    return x
""",
    "traffic/plugins.py": """
LEVEL = 1
def first(x):
    return x + LEVEL
def second(x):
    return x * 2
""",
    "traffic/helpers.py": '''
"""Helpers."""
import functools

import traffic
from traffic import limits
from traffic.limits import RATIO as SHARE
from traffic.limits import THRESHOLD


# a comment
def scale(x, by=2, *, shift=0):
    """Scale."""
    return x * by * SHARE + shift


def over(x):
    return x > THRESHOLD


def use_all(x):
    found = []
    if x:
        found.append(limits.LABEL)
    for name in limits.NAMES:
        found.append(name)
    try:
        found += [limits.WINDOW, limits.PRICE, limits.PATTERN, limits.ZERO, limits.FLAG]
    except (ValueError, KeyError) as error:
        raise RuntimeError("no") from error
    finally:
        found.append(traffic.EDITION)
    return found, limits.WEIGHTS, limits.NESTED, limits.TABLE, limits.TEXT_PATH, limits.LOCK, limits.GRID


def even(n):
    return True if n == 0 else odd(n - 1)


def odd(n):
    return False if n == 0 else even(n - 1)


def noisy(function):
    @functools.wraps(function)
    def inner(*args):
        return function(*args) + 1000
    return inner


@noisy
def decorated(x):
    return x + 1


@functools.lru_cache(maxsize=8)
def remembered(x):
    return x * 3


@functools.singledispatch
def shown(x):
    return "any"


@shown.register
def _(x: int):
    return "int"


def make(step):
    def moved(x):
        return x + step
    return moved


move = make(7)
double = lambda x: x * 2
halve = functools.partial(scale, by=0.5)
DISPATCH = {"scale": scale, "square": lambda x: x ** 2}


def generator(n):
    yield from (i * 2 for i in range(n) if i in {1, 2, 3})


async def waiting(x):
    return x


def outer(x):
    class Local:
        """Local."""
        size = 4
        def grow(self):
            """Grow."""
            return self.size + 1
    return Local().grow() + x


def unrelated(x):
    return x + 99
''',
    "traffic/shapes.py": '''
from __future__ import annotations

import abc
import enum
from dataclasses import dataclass, field
from typing import NamedTuple, TYPE_CHECKING

if TYPE_CHECKING:
    from traffic.settings import Settings

SIDES = 4


class Colour(enum.Enum):
    RED = 1
    BLUE = 2

    @property
    def warm(self):
        return self is Colour.RED


class Shape(abc.ABC):
    """A shape."""
    sides = 0

    @abc.abstractmethod
    def area(self): ...

    def describe(self):
        """Describe."""
        return f"{self.sides} sides"


class Meta(type):
    def __call__(cls, *args):
        return super().__call__(*args)


class Square(Shape):
    sides = SIDES

    def __init__(self, size):
        self.size = size

    def area(self):
        return self.size ** 2

    @staticmethod
    def unit():
        return 1

    @classmethod
    def make(cls):
        return cls(3)

    @property
    def diagonal(self):
        return self.size * 1.41


class Odd(metaclass=Meta):
    pass


@dataclass(frozen=True)
class Point:
    """A point."""
    x: int = 0
    tags: list[str] = field(default_factory=list)

    def norm(self):
        return abs(self.x)


class Pair(NamedTuple):
    left: int = 1
    right: int = 2


ORIGIN = Point(5)


def shaped(settings: Settings, colour: Colour = Colour.RED):
    return Square.make(), Square.unit(), Odd, ORIGIN, Pair(), settings
''',
    "traffic/settings.py": """
class Settings:
    def cut(self):
        return 12
""",
    "traffic/data.py": '''
from __future__ import annotations

import json

import numpy as np
import polars as pl
from filiera.core.step import step
from traffic import helpers, plugins, shapes
from traffic.helpers import *
from traffic.limits import STREAM

FACTOR = np.array([1.0, 2.0])
RATE = np.float32(0.5)
COLUMN = pl.col("bytes") / pl.col("packets")
WEIRD = pl.col("bytes").cast(pl.Int64)
UNRELATED = 4


@step(stage="clean", retries=1)
def clean(raw: pl.DataFrame, depth: int = 3) -> pl.DataFrame:
    """Clean."""
    import traffic.lazy
    from traffic.lazy import later
    from traffic import lazy as lz
    results = [json.dumps(1), scale(2), helpers.over(3), helpers.use_all(4), even(5), helpers.decorated(6)]
    results += [remembered(7), shown(8), move(9), double(10), halve(11), DISPATCH["scale"](12)]
    results += [list(generator(13)), waiting(14), outer(15), shapes.shaped, traffic.lazy.late(16)]
    results += [later(17), lz.latest(1)]
    chosen = getattr(plugins, "first" if depth else "second")
    results.append(chosen(18))
    return raw.with_columns(COLUMN * FACTOR[0] * RATE), STREAM, WEIRD, results, depth == 1, traffic.EDITION
''',
}


@dataclass(frozen=True, kw_only=True)
class Mutation:
    """One edit of one file."""

    title: str
    file: str
    old: str
    new: str
    seen_as: tuple[str, ...] = ()  #: the lines of ``changes``; none: the edit must not be seen


def _edit(title: str, file: str, old: str, new: str, *seen_as: str) -> Mutation:
    return Mutation(title=title, file=f"traffic/{file}.py", old=old, new=new, seen_as=seen_as)


def _limit(name: str, old: str, new: str) -> Mutation:
    return _edit(f"constant {name}: {new}", "limits", old, new, f"constant traffic.limits:{name} changed")


SEEN = [
    _limit("THRESHOLD", "THRESHOLD = 10", "THRESHOLD = 11"),
    _limit("RATIO", "RATIO = 1.0", "RATIO = 1"),
    _limit("ZERO", "ZERO = 0.0", "ZERO = -0.0"),
    _limit("LABEL", 'LABEL = "x"', 'LABEL = b"x"'),
    _limit("FLAG", "FLAG = True", "FLAG = 1"),
    _limit("WINDOW", "hours=1", "hours=2"),
    _limit("PRICE", '"1.10"', '"1.1"'),
    _limit("PATTERN", '"a+"', '"a+", re.I'),
    _limit("TABLE", '"table.csv"', '"other.csv"'),
    _limit("TEXT_PATH", '"/x.txt"', '"/y.txt"'),
    _limit("NAMES", '"icmp", ', ""),
    _limit("WEIGHTS", '"udp": 2', '"udp": 3'),
    _limit("WEIGHTS", '{"tcp": 1, "udp": 2}', '{"udp": 2, "tcp": 1}'),
    _limit("NESTED", '"deep": 3', '"deep": 4'),
    _limit("GRID", "Grid(4)", "Grid(5)"),
    _edit("method of a constant's class", "limits", "self.size ** 2", "self.size ** 3",
          "function traffic.limits:Grid.area changed"),
    _edit("constant of a package", "__init__", "EDITION = 3", "EDITION = 4",
          "constant traffic:EDITION changed"),
    _edit("body of a function", "helpers", "x * by * SHARE", "x * SHARE * by",
          "function traffic.helpers:scale changed"),
    _edit("constant in a body", "helpers", "else odd(n - 1)", "else odd(n - 3)",
          "function traffic.helpers:even changed"),
    _edit("operator", "helpers", "x > THRESHOLD", "x >= THRESHOLD", "function traffic.helpers:over changed"),
    _edit("positional default", "helpers", "by=2", "by=3", "function traffic.helpers:scale changed"),
    _edit("keyword default", "helpers", "shift=0", "shift=0.0", "function traffic.helpers:scale changed"),
    _edit("order of parameters", "helpers", "def scale(x, by=2", "def scale(by, x=2",
          "function traffic.helpers:scale changed"),
    _edit("which exception is caught", "helpers", "(ValueError, KeyError)", "(ValueError, IndexError)",
          "function traffic.helpers:use_all changed"),
    _edit("what a try covers", "helpers", "    try:\n        found +=",
          "    found.append(1)\n    try:\n        found +=",
          "function traffic.helpers:use_all changed"),
    _edit("mutual recursion", "helpers", "return False if", "return None if", "function traffic.helpers:odd changed"),
    _edit("decorator", "helpers", "+ 1000", "+ 1001", "function traffic.helpers:decorated changed"),
    _edit("decorated function", "helpers", "return x + 1\n\n\n@functools.lru", "return x + 2\n\n\n@functools.lru",
          "function traffic.helpers:decorated changed"),
    _edit("decorator removed", "helpers", "@noisy\n", "", "function traffic.helpers:decorated changed"),
    _edit("cached function", "helpers", "x * 3", "x * 4", "function traffic.helpers:remembered changed"),
    _edit("cache size", "helpers", "maxsize=8", "maxsize=9", "function traffic.helpers:remembered changed"),
    _edit("registered overload", "helpers", 'return "int"', 'return "integer"',
          "function traffic.helpers:_ changed"),
    _edit("overload for another type", "helpers", "x: int", "x: str", "function traffic.helpers:shown changed"),
    _edit("closed-over value", "helpers", "make(7)", "make(8)", "function traffic.helpers:move changed"),
    _edit("factory's inner function", "helpers", "x + step", "x - step", "function traffic.helpers:move changed"),
    _edit("lambda", "helpers", "double = lambda x: x * 2", "double = lambda x: x * 4",
          "function traffic.helpers:double changed"),
    _edit("partial", "helpers", "by=0.5", "by=0.25", "function traffic.helpers:halve changed"),
    _edit("lambda in a table", "helpers", "lambda x: x ** 2", "lambda x: x ** 3",
          "constant traffic.helpers:DISPATCH changed"),
    _edit("entry of a table", "helpers", '"scale": scale', '"scale": over',
          "constant traffic.helpers:DISPATCH changed"),
    _edit("set in a body", "helpers", "{1, 2, 3}", "{1, 2, 4}", "function traffic.helpers:generator changed"),
    _edit("generator expression", "helpers", "i * 2 for", "i * 3 for", "function traffic.helpers:generator changed"),
    _edit("async taken away", "helpers", "async def", "def", "function traffic.helpers:waiting changed"),
    _edit("class in a function", "helpers", "self.size + 1", "self.size + 2", "function traffic.helpers:outer changed"),
    _edit("attribute of a class in a function", "helpers", "size = 4", "size = 5",
          "function traffic.helpers:outer changed"),
    _edit("other module read", "helpers", "import RATIO as SHARE", "import ZERO as SHARE",
          "function traffic.helpers:scale changed", "constant traffic.limits:RATIO removed"),
    _edit("name rebound", "helpers", "def unrelated", "over = odd\n\n\ndef unrelated",
          "function traffic.data:clean changed", "function traffic.helpers:over removed",
          "constant traffic.limits:THRESHOLD removed"),
    _edit("import in a function", "lazy", "x + DEPTH", "x - DEPTH", "function traffic.lazy:late changed"),
    _edit("constant behind an import in a function", "lazy", "DEPTH = 2", "DEPTH = 3",
          "constant traffic.lazy:DEPTH changed"),
    _edit("from-import in a function", "lazy", "def later(x):\n    return x", "def later(x):\n    return -x",
          "function traffic.lazy:later changed"),
    _edit("imported under another name", "lazy", "def latest(x):\n    return x", "def latest(x):\n    return -x",
          "function traffic.lazy:latest changed"),
    _edit("computed name in a module", "plugins", "x * 2", "x * 3", "function traffic.plugins:second changed"),
    _edit("constant behind a computed name", "plugins", "LEVEL = 1", "LEVEL = 2",
          "constant traffic.plugins:LEVEL changed"),
    _edit("name added to a module used as a value", "plugins", "def second", "def third(x):\n    return x\ndef second",
          "function traffic.plugins:third added", "module traffic.plugins changed"),
    _edit("member of an enum", "shapes", "BLUE = 2", "BLUE = 3", "class traffic.shapes:Colour changed"),
    _edit("order of an enum", "shapes", "RED = 1\n    BLUE = 2", "BLUE = 2\n    RED = 1",
          "class traffic.shapes:Colour changed"),
    _edit("property of an enum", "shapes", "self is Colour.RED", "self is Colour.BLUE",
          "class traffic.shapes:Colour changed"),
    _edit("attribute of a base class", "shapes", "sides = 0", "sides = 1", "class traffic.shapes:Shape changed"),
    _edit("method of a base class", "shapes", "{self.sides} sides", "{self.sides} edges",
          "function traffic.shapes:Shape.describe changed"),
    _edit("base class", "shapes", "class Square(Shape)", "class Square", "class traffic.shapes:Shape removed",
          "function traffic.shapes:Shape.area removed", "function traffic.shapes:Shape.describe removed",
          "class traffic.shapes:Square changed"),
    _edit("constant in a class body", "shapes", "SIDES = 4", "SIDES = 5", "class traffic.shapes:Square changed"),
    _edit("initialiser", "shapes", "self.size = size", "self.size = -size",
          "function traffic.shapes:Square.__init__ changed"),
    _edit("method", "shapes", "self.size ** 2", "self.size ** 3", "function traffic.shapes:Square.area changed"),
    _edit("static method", "shapes", "return 1", "return 2", "function traffic.shapes:Square.unit changed"),
    _edit("class method", "shapes", "cls(3)", "cls(4)", "function traffic.shapes:Square.make changed"),
    _edit("static method made a plain one", "shapes", "    @staticmethod\n", "", "class traffic.shapes:Square changed"),
    _edit("property", "shapes", "1.41", "1.42", "class traffic.shapes:Square changed"),
    _edit("metaclass", "shapes", "super().__call__(*args)", "None", "function traffic.shapes:Meta.__call__ changed"),
    _edit("default of a dataclass field", "shapes", "x: int = 0", "x: int = 1", "class traffic.shapes:Point changed"),
    _edit("type of a dataclass field", "shapes", "x: int = 0", "x: float = 0", "class traffic.shapes:Point changed"),
    _edit("default factory", "shapes", "default_factory=list", "default_factory=tuple",
          "constant traffic.shapes:ORIGIN changed", "class traffic.shapes:Point changed"),
    _edit("option of a dataclass", "shapes", "frozen=True", "frozen=True, eq=False",
          "class traffic.shapes:Point changed"),
    _edit("method of a dataclass", "shapes", "abs(self.x)", "-abs(self.x)",
          "function traffic.shapes:Point.norm changed"),
    _edit("state of an instance", "shapes", "Point(5)", "Point(6)", "constant traffic.shapes:ORIGIN changed"),
    _edit("default of a named tuple", "shapes", "right: int = 2", "right: int = 3",
          "class traffic.shapes:Pair changed"),
    _edit("default that is an enum member", "shapes", "= Colour.RED):", "= Colour.BLUE):",
          "function traffic.shapes:shaped changed"),
    _edit("class named by an annotation only", "settings", "return 12", "return 13",
          "function traffic.settings:Settings.cut changed"),
    _edit("array", "data", "[1.0, 2.0]", "[1.0, 2.5]", "constant traffic.data:FACTOR changed"),
    _edit("type of an array", "data", "[1.0, 2.0]", "[1, 2]", "constant traffic.data:FACTOR changed"),
    _edit("numpy scalar", "data", "np.float32", "np.float64", "constant traffic.data:RATE changed"),
    _edit("polars expression", "data", 'pl.col("packets")', 'pl.col("packet")', "constant traffic.data:COLUMN changed"),
    _edit("the step's own body", "data", "scale(2)", "scale(3)", "function traffic.data:clean changed"),
    _edit("constant of another type in the step", "data", "depth == 1", "depth == 1.0",
          "function traffic.data:clean changed"),
    _edit("the step's default", "data", "depth: int = 3", "depth: int = 4", "function traffic.data:clean changed"),
    _edit("number of outputs", "data", "-> pl.DataFrame", "-> tuple[pl.DataFrame, int]",
          "function traffic.data:clean changed"),
]  # fmt: skip

EVEN = "def even(n):\n    return True if n == 0 else odd(n - 1)\n"
ODD = "def odd(n):\n    return False if n == 0 else even(n - 1)\n"
UNIT = "    @staticmethod\n    def unit():\n        return 1\n"
MAKE = "    @classmethod\n    def make(cls):\n        return cls(3)\n"

UNSEEN = [
    _edit("comment", "helpers", "# a comment", "# another comment\n# of two lines"),
    _edit("comment at a line's end", "helpers", "return x > THRESHOLD", "return x > THRESHOLD  # really"),
    _edit("docstring of a module", "helpers", '"""Helpers."""', '"""All helpers."""'),
    _edit("docstring of the step", "data", '"""Clean."""', '"""Clean up, much better."""'),
    _edit("docstring of a function", "helpers", '"""Scale."""', '"""Multiply."""'),
    _edit("docstring taken away", "helpers", '    """Scale."""\n', ""),
    _edit("docstring added", "helpers", "def over(x):\n", 'def over(x):\n    """Tell."""\n'),
    _edit("docstring of a class", "shapes", '"""A shape."""', '"""Any shape."""'),
    _edit("docstring of a method", "shapes", '"""Describe."""', '"""Say what it is."""'),
    _edit("docstring of a dataclass", "shapes", '"""A point."""', '"""A dot."""'),
    _edit("docstring of a class in a function", "helpers", '"""Local."""', '"""Very local."""'),
    _edit("docstring of a method in a function", "helpers", '"""Grow."""', '"""Get larger."""'),
    _edit("blank lines", "helpers", "def over(x):\n", "\n\n\n\ndef over(x):\n\n\n"),
    _edit("one line made two", "helpers", "return x * by * SHARE + shift",
          "return (\n        x\n        * by * SHARE\n + shift)"),
    _edit("call spread over lines", "data", "scale(2), helpers", "scale(\n        2,\n    ), helpers"),
    _edit("indentation", "plugins", "    return x + LEVEL", "        return x + LEVEL"),
    _edit("statement on the line of its if", "helpers", "if x:\n        found", "if x: found"),
    _edit("spelling of a number", "limits", "THRESHOLD = 10", "THRESHOLD = 0b1010"),
    _edit("spelling of a string", "helpers", 'RuntimeError("no")', "RuntimeError('n' 'o')"),
    _edit("order of functions", "helpers", EVEN + "\n\n" + ODD, ODD + "\n\n" + EVEN),
    _edit("order of methods", "shapes", UNIT + "\n" + MAKE, MAKE + "\n" + UNIT),
    _edit("order of imports", "helpers", "import traffic\nfrom traffic import limits\n",
          "from traffic import limits\nimport traffic\n"),
    _edit("order of a set", "limits", '{"tcp", "udp", "icmp", "sctp"}', '{"sctp", "icmp", "udp", "tcp"}'),
    _edit("unrelated function", "helpers", "x + 99", "x + 100"),
    _edit("unrelated constant", "data", "UNRELATED = 4", "UNRELATED = 5"),
    _edit("unused constant of a module read by name", "limits", "UNUSED = 5", "UNUSED = 6"),
    _edit("unused constant of the package", "__init__", "UNUSED_EDITION = 1", "UNUSED_EDITION = 2"),
    _edit("new function", "helpers", "def unrelated", "def brand_new():\n    return 1\n\n\ndef unrelated"),
    _edit("new import", "helpers", "import functools\n", "import functools\nimport zlib\n"),
    _edit("annotation of a parameter", "data", "depth: int", "depth: float"),
    _edit("annotations of a helper", "helpers", "def over(x)", "def over(x: int)"),
    _edit("options of a step", "data", "retries=1", "retries=2"),
    _edit("attribute set on a function", "helpers", "def unrelated", "over.note = 1\n\n\ndef unrelated"),
    _edit("name of an import", "helpers", "RATIO as SHARE\n", "RATIO as SHARE, RATIO as PART\n"),
]  # fmt: skip

# What holds these has no content to compare, so the text of its module and of all that this one imports counts.
OPAQUE_FILES = {
    **FILES,
    "traffic/limits.py": FILES["traffic/limits.py"].replace("STREAM = None", "STREAM = open(__file__)"),
    "traffic/plugins.py": "import traffic.settings\n"
    + FILES["traffic/plugins.py"]
    + """
import polars as pl
EXPRESSION = pl.col("bytes").map_elements(lambda x: x + 1, return_dtype=pl.Int64)
""",
}

SEEN_IN_TEXT = [
    _edit("module that opens a file", "limits", "UNUSED = 5", "UNUSED = 6", "source traffic.limits changed"),
    _edit("function in a polars expression", "plugins", "x + 1,", "x + 2,", "source traffic.plugins changed"),
    _edit("module imported by such a module", "settings", "class Settings", "KEY = 1\n\n\nclass Settings",
          "source traffic.settings changed"),
]  # fmt: skip

UNSEEN_IN_TEXT = [_edit("module not imported by such a module", "shapes", "SIDES = 4", "SIDES = 4  # still")]

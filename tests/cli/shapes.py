"""A small project with pipelines of every shape."""

CODE = '''\
"""Maps, branches, questions."""

from filiera import Cache, approve, pipeline, step, when


@step
def numbers(count: int) -> list[int]:
    return list(range(count))


@step
def double(x: int, bad: int = -1) -> int:
    if x == bad:
        raise ValueError(f"cannot double {x}")
    print("doubling", x)
    return 2 * x


@step
def total(values: list[int]) -> int:
    return sum(values)


@pipeline(kind="data")
def mapped(count: int = 3, bad: int = -1):
    """Double each."""
    return total(double.map(numbers(count), bad=bad))


@step(catch=0)
def caught(x: int) -> int:
    print("about to fail")
    raise ValueError("never works")


@step
def is_large(x: int) -> bool:
    return x > 10


@pipeline(kind="data")
def branched(x: int = 5):
    """Go one way."""
    return when(is_large(caught(x)), lambda: double(x), lambda: double(x + 1))


@step
def table(x: int) -> dict[str, int]:
    return {"mae": x, "rows": 12}


@step
def mae(table: dict[str, int]) -> int:
    return table["mae"]


@pipeline(kind="data")
def asking(x: int = 4):
    """Ask once."""
    return mae(approve(table(x), "Publish these numbers?"))


@pipeline(kind="data")
def asking_twice(x: int = 4):
    """Ask two people."""
    return mae(approve(table(x), "Good?")), mae(approve(table(x + 1), "Better?"))


@step(dynamic=True)
def plan(n: int) -> int:
    return total([double(i) for i in range(n)])


@pipeline(kind="data")
def planned(n: int = 3):
    """Make a graph."""
    return double(plan(n))


@step(dynamic=True)
def each(x: int) -> int:
    return double(x)


@pipeline(kind="data")
def nested(count: int = 12):
    """Make many graphs."""
    return total(each.map(numbers(count)))


@step(cache=Cache(max_age_s=0.000001))
def old(x: int) -> int:
    return x


@pipeline(kind="data")
def aging(x: int = 1):
    """Get old at once."""
    return old(x)
'''

"""A first pipeline: change a step or a constant, run again, and see what runs and why (filiera explain)."""

from filiera import pipeline, step

GREETING = "Hello"


@step
def greet(name: str) -> str:
    """Return a greeting."""
    return f"{GREETING}, {name}!"


@step
def count_letters(text: str) -> int:
    """Return how many letters a text has."""
    return sum(letter.isalpha() for letter in text)


@pipeline(kind="data")
def hello(name: str = "world"):
    """Greet somebody and count the letters."""
    return count_letters(greet(name))

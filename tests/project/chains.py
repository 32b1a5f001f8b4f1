"""Small projects for the tests of launching: a chain of numbers, and a dataset with a model made from it."""

from __future__ import annotations

from tests.projects import SmallProject

CHAIN = {
    "flows/__init__.py": "",
    "flows/chain.py": """
        import os
        import signal
        from pathlib import Path

        from filiera import pipeline, step

        HERE = Path(__file__).parent
        CALLS = HERE / "calls"


        def note(name):
            with CALLS.open("a") as file:
                file.write(name + "\\n")


        @step
        def read(x: int) -> int:
            note("read")
            return x


        @step(cache=False)
        def ask(x: int) -> int:
            note("ask")
            return x + 1


        @step
        def fragile(x: int) -> int:
            note("fragile")
            if (HERE / "break").exists():
                raise ValueError("it is broken")
            return x * 2


        @step
        def tell(x: int) -> str:
            note("tell")
            return str(x)


        @step
        def press_ctrl_c(x: int) -> int:
            note("press_ctrl_c")
            os.kill(os.getpid(), signal.SIGINT)
            return x


        @step
        def press_it_twice(x: int) -> int:
            try:
                os.kill(os.getpid(), signal.SIGTERM)
            except KeyboardInterrupt:
                os.kill(os.getpid(), signal.SIGINT)
            return x


        @step
        def reads_badly(x: int) -> int:
            from flows.unreadable import something

            return something(x)


        @pipeline(kind="data")
        def chain(x: int = 1, name: str = ""):
            return tell(fragile(ask(read(x))))


        @pipeline(kind="data")
        def pressed(x: int = 1):
            return tell(press_ctrl_c(read(x)))


        @pipeline(kind="data")
        def pressed_twice(x: int = 1):
            return tell(press_it_twice(read(x)))


        @pipeline(kind="data")
        def unreadable(x: int = 1):
            return reads_badly(read(x))


        @pipeline(kind="data")
        def misbuilt(x: int = 1):
            return tell(read(x) + 1)
        """,
    "flows/unreadable.py": "1 / 0\n",
}

SHOP = {
    "flows/__init__.py": "",
    "flows/shop.py": '''
        from dataclasses import dataclass
        from typing import Any

        import polars as pl

        from filiera import Check, Dataset, Gate, Metric, Metrics, Model, pipeline, step


        @step
        def table(rows: int, start: int) -> pl.DataFrame:
            labels = ["x" if i % 2 else "y" for i in range(rows)]
            return pl.DataFrame({"a": range(start, start + rows), "label": labels})


        @dataclass(frozen=True)
        class Rule:
            """A model of plain Python: what is above the limit is the first class."""

            limit: float
            feature_names_in_: tuple[str, ...] = ("a",)
            classes_: tuple[str, ...] = ("x", "y")

            def predict(self, rows):
                return [self.classes_[value <= self.limit] for value in rows["a"]]


        @step
        def fit(rows: pl.DataFrame, strategy: str) -> Rule:
            return Rule(rows["a"].mean() if strategy == "prior" else 0.0)


        @step
        def evaluate(model: Any, score: float) -> Metrics:
            metric = Metric(
                name="accuracy", value=score, low=score - 0.01, high=score + 0.01, n=100, method="wilson"
            )
            return Metrics((metric,), task="classification")


        @pipeline(kind="data", publishes=Dataset("sales", checks=[Check.rows(at_least=3), Check.in_range("a", 1, 100)]))
        def sales(rows: int = 6, start: int = 1):
            return table(rows, start)


        GATES = [Gate("accuracy", at_least=0.5), Gate("accuracy", not_worse_than="champion", margin=0.05)]


        @pipeline(kind="model", publishes=Model("guess", gates=GATES))
        def train(sales: pl.DataFrame = Dataset("sales@latest"), strategy: str = "prior", score: float = 0.8):
            model = fit(sales, strategy)
            return model, evaluate(model, score)
        ''',
}

_WIDE = SHOP["flows/shop.py"].replace(
    '"label": labels})', '"label": labels, "text": [sha512(str(i).encode()).hexdigest() for i in range(rows)]})'
)
WIDE_SHOP = {
    **SHOP,
    "flows/shop.py": _WIDE.replace("from typing", "from hashlib import sha512\n        from typing", 1),
}
"""The same with tables that are too large for the records, so that they are blobs."""


def calls(project: SmallProject) -> list[str]:
    """Return which steps ran, and forget."""
    file = project.root / "flows/calls"
    found = file.read_text().split() if file.exists() else []
    file.unlink(missing_ok=True)
    return found

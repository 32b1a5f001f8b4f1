"""FastAPI by hand: ``/rows`` takes objects, checked by Pydantic; ``/lists`` lists of numbers; ``/bare`` any JSON."""

import sys

import numpy as np
import uvicorn
from bodies_model import COLUMNS, fitted
from fastapi import FastAPI, Request
from pydantic import BaseModel, create_model

MODEL = fitted()
Row = create_model("Row", **dict.fromkeys(COLUMNS, (float, ...)))


class Rows(BaseModel):
    """Rows as objects."""

    instances: list[Row]


class Lists(BaseModel):
    """Rows as lists."""

    instances: list[list[float]]


def answers(matrix):
    """Return one answer per row."""
    pairs = zip(MODEL.predict(matrix).tolist(), MODEL.predict_proba(matrix).tolist(), strict=True)
    return {"predictions": [{"label": label, "probabilities": each} for label, each in pairs]}


app = FastAPI()


@app.post("/rows")
def rows(request: Rows):
    """Answer objects."""
    return answers(np.array([[getattr(row, name) for name in COLUMNS] for row in request.instances]))


@app.post("/lists")
def lists(request: Lists):
    """Answer lists."""
    return answers(np.array(request.instances))


@app.post("/bare")
async def bare(request: Request):
    """Answer lists that nobody has checked."""
    return answers(np.array((await request.json())["instances"]))


uvicorn.run(app, port=int(sys.argv[2]), log_level="warning", access_log=False)

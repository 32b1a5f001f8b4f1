"""FastAPI and uvicorn, as one writes it by hand: a Pydantic model of a row, one prediction per request."""

import sys
from typing import Any

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel, create_model
from served_files import Files

FILES = Files(sys.argv[1])
KINDS = {"string": str, "int64": int, "float64": float}
FIELDS: dict[str, Any] = {
    name: (KINDS[kind], ...) for name, kind in zip(FILES.about["features"], FILES.about["types"], strict=True)
}
Row = create_model("Row", **FIELDS)


class Request(BaseModel):
    """What is asked."""

    instances: list[Row]


app = FastAPI()


@app.post("/predict")
def predict(request: Request) -> dict[str, Any]:
    """Answer in a thread of the pool."""
    return {"predictions": FILES.answers([row.model_dump() for row in request.instances])}


uvicorn.run(app, port=int(sys.argv[2]), log_level="warning", access_log=False)

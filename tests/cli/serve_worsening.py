"""Serves the shop's champion; the second version fails from when a file is there on.  The project, then the file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from filiera.core.products import ProductRef
from filiera.project import plugins
from filiera.project.project import Project
from filiera.project.serving.endpoints import AliasDesk
from filiera.serving.app import App
from filiera.serving.endpoint import Endpoint
from filiera.serving.follower import Follower
from filiera.serving.model_mount import ModelMount
from filiera.serving.served_model import ServedModel
from filiera.serving.server import serve


class Worsening:
    """Predicts as a model does until a file is there."""

    def __init__(self, model: Any, file: Path) -> None:
        self._model = model
        self._file = file
        self.classes_ = model.classes_

    def predict(self, frame: Any) -> Any:
        if self._file.exists():
            raise ValueError("it has got worse")
        return self._model.predict(frame)

    def predict_proba(self, frame: Any) -> Any:
        return self._model.predict_proba(frame)


class WorseningDesk(AliasDesk):
    """Gives a second version that gets worse."""

    def load(self, number: int) -> ServedModel:
        if number == 1:
            return super().load(number)
        project = Project.open(Path(sys.argv[1]))
        version = project.versions.get("model", ProductRef("spender", str(number)))
        model, signature = project.model_parts(version)
        return ServedModel("spender", Worsening(model, Path(sys.argv[2])), version=number, signature=signature)


def main() -> None:
    project = Project.open(Path(sys.argv[1]))
    desk = WorseningDesk(
        project, ProductRef("spender", "champion"), log=plugins.prediction_log(project.store, "spender")
    )

    def build() -> App:
        endpoint = Endpoint(desk.load(1))
        return App([ModelMount(endpoint, follower=Follower(endpoint, desk, tell=print))], local_names_only=True)

    serve(build, host="127.0.0.1", port=0, on_ready=lambda urls: print(f"serving at {urls[0]}", flush=True))


if __name__ == "__main__":
    main()

"""``filiera serve``."""

from __future__ import annotations

import argparse
import os

from filiera.cli.places import find_model, model_ref
from filiera.errors import UsageError
from filiera.project import plugins
from filiera.project.project import Project

TOKEN_VARIABLE = "FILIERA_TOKEN"  # noqa: S105 - the name of the variable, not a token


def run(options: argparse.Namespace) -> int:
    """Serve a model until Ctrl-C; every prediction is logged."""
    from filiera.project.endpoints import AliasDesk
    from filiera.project.runtimes import runtime_note
    from filiera.serving.app import App
    from filiera.serving.endpoint import Endpoint
    from filiera.serving.follower import Follower
    from filiera.serving.listening import must_have_token
    from filiera.serving.model_mount import ModelMount
    from filiera.serving.server import serve

    token = os.environ.get(TOKEN_VARIABLE) or None
    if must_have_token(options.host) and token is None:
        raise UsageError(
            f"{options.host} can be reached from other machines.",
            why="A service that others reach needs a token.",
            do=f"Set {TOKEN_VARIABLE}, or serve on 127.0.0.1.",
        )
    project = Project.open(profile=options.profile)
    version = find_model(project, options.model)
    log = plugins.writable_prediction_log(project.store, version.name)

    ref = model_ref(options.model)
    desk = AliasDesk(project, ref, log=log)

    def build() -> App:
        endpoint = Endpoint(desk.load(version.number))
        follower = Follower(endpoint, desk, tell=_tell) if ref.number is None else None
        mount = ModelMount(endpoint, follower=follower)
        return App([mount], token=token, local_names_only=token is None)

    def announce(url: str) -> None:
        path = f"{url}/v1/models/{version.name}:predict"
        print(f"serving {version.ref} at {url}", flush=True)
        if ref.number is None:
            print(f"  follows   {ref}", flush=True)
        print(f"  runs on   {runtime_note(project, version)}", flush=True)
        print(f"  predict   POST {path}\n  contract  GET  {url}/openapi.json\n  stop      Ctrl-C", flush=True)

    try:
        serve(build, host=options.host, port=options.port, on_ready=announce)
    finally:
        log.close()
    lost = log.dropped()
    print(f"stopped; {lost:,} predictions could not be logged" if lost else "stopped; all predictions are logged")
    return 0


def _tell(line: str) -> None:
    print(line, flush=True)

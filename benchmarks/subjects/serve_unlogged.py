"""Filiera as ``filiera serve`` has it, but for the prediction log, which cannot be turned off there."""

import sys

from filiera.core.products import ProductRef
from filiera.project.project import Project
from filiera.project.serving.endpoints import AliasDesk
from filiera.serving.app import App
from filiera.serving.endpoint import Endpoint
from filiera.serving.model_mount import ModelMount
from filiera.serving.server import serve

name, port = sys.argv[1], int(sys.argv[2])
desk = AliasDesk(Project.open(), ProductRef(name), log=None)


def build() -> App:
    """Return the service."""
    return App([ModelMount(Endpoint(desk.load(1)))], local_names_only=True)


serve(build, host="127.0.0.1", port=port, on_ready=print)

"""The least that answers: granian, msgspec and ONNX Runtime, without a check of values, a log, or a count."""

import asyncio

from bare_answer import PORT, app
from granian.constants import Interfaces
from granian.server.embed import Server

server = Server(app, port=PORT, interface=Interfaces.ASGINL, websockets=False, log_enabled=False)
asyncio.run(server.serve())

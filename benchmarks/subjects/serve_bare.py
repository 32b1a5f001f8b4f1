"""The least that answers: granian, msgspec and ONNX Runtime, without a check of values, a log, or a count."""

import asyncio

from bare_answer import PORT, answer
from granian.constants import Interfaces
from granian.server.embed import Server


async def app(scope, receive, send):
    """Answer one request."""
    chunks = []
    while True:
        message = await receive()
        chunks.append(message["body"])
        if not message["more_body"]:
            break
    body = answer(b"".join(chunks))
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


server = Server(app, port=PORT, interface=Interfaces.ASGINL, websockets=False, log_enabled=False)
asyncio.run(server.serve())

"""The same least, on the loop and behind the HTTP that services of Filiera have."""

from bare_answer import PORT, answer

from filiera.serving.listening import listen
from filiera.serving.server import serve_on


class Bare:
    """An application without anything."""

    in_flight = requests = 0

    def start(self):
        """Nothing is to be started."""

    async def stop(self):
        """Nothing is to be stopped."""

    async def __call__(self, scope, receive, send):
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


async def nothing(_):
    """Do nothing beside."""


serve_on(listen("127.0.0.1", PORT).detach(), Bare(), beside=nothing)

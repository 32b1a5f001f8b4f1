"""The same least, on the loop and behind the HTTP that services of Filiera have."""

from bare_answer import PORT, app

from filiera.serving.listening import listen
from filiera.serving.server import serve_on


class Bare:
    """An application without anything."""

    in_flight = requests = 0

    def start(self):
        """Nothing is to be started."""

    async def stop(self):
        """Nothing is to be stopped."""

    __call__ = staticmethod(app)


async def nothing(_):
    """Do nothing beside."""


serve_on(listen("127.0.0.1", PORT).detach(), Bare(), beside=nothing)

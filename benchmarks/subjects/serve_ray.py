"""Ray Serve with batching."""

import sys
import time

from ray import serve
from served_files import Files
from starlette.requests import Request


@serve.deployment(max_ongoing_requests=64, ray_actor_options={"num_cpus": 1})
class Model:
    """Answers the one row of each request."""

    def __init__(self, name: str) -> None:
        self.files = Files(name)

    @serve.batch(max_batch_size=32, batch_wait_timeout_s=0.001)
    async def answer(self, rows: list) -> list:
        """Answer all rows at once."""
        return self.files.answers(rows)

    async def __call__(self, request: Request) -> dict:
        """Answer one request."""
        body = await request.json()
        return {"predictions": [await self.answer(body["instances"][0])]}


if __name__ == "__main__":
    serve.start(http_options={"host": "127.0.0.1", "port": int(sys.argv[2])})
    serve.run(Model.bind(sys.argv[1]), route_prefix="/predict")
    while True:
        time.sleep(3600)

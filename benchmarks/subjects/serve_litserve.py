"""LitServe in its best mode here: batches of up to 32, waiting a millisecond."""

import sys

import litserve
from served_files import Files


class Api(litserve.LitAPI):
    """Answers the one row of each request."""

    def setup(self, device):
        """Load the model, in the worker process."""
        self.files = Files(sys.argv[1])

    def decode_request(self, request):
        """Return the row."""
        return request["instances"][0]

    def batch(self, inputs):
        """Return the rows as they are."""
        return inputs

    def predict(self, x):
        """Answer all rows at once."""
        return self.files.answers(x)

    def unbatch(self, output):
        """Return the answers one by one."""
        return output

    def encode_response(self, output):
        """Return the body."""
        return {"predictions": [output]}


if __name__ == "__main__":
    server = litserve.LitServer(Api(max_batch_size=32, batch_timeout=0.001), accelerator="cpu", workers_per_device=1)
    server.run(port=int(sys.argv[2]), log_level="warning", generate_client_file=False)

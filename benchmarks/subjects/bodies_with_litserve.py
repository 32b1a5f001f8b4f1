"""LitServe, which takes lists of numbers that nobody has checked."""

import sys

import litserve
import numpy as np
from bodies_model import fitted


class Api(litserve.LitAPI):
    """Answers the rows of a request."""

    def setup(self, device):
        """Make the model, in the worker process."""
        self.model = fitted()

    def decode_request(self, request):
        """Return the rows as an array."""
        return np.array(request["instances"])

    def predict(self, x):
        """Return labels and probabilities."""
        return self.model.predict(x).tolist(), self.model.predict_proba(x).tolist()

    def encode_response(self, output):
        """Return one answer per row."""
        pairs = zip(*output, strict=True)
        return {"predictions": [{"label": label, "probabilities": each} for label, each in pairs]}


if __name__ == "__main__":
    server = litserve.LitServer(Api(), accelerator="cpu", workers_per_device=1)
    server.run(port=int(sys.argv[2]), log_level="warning", generate_client_file=False)

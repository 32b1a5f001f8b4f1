"""BentoML in its best mode here: a batchable method."""

import os

import bentoml
from served_files import Files


@bentoml.service(workers=1, traffic={"timeout": 60})
class Model:
    """Answers lists of rows."""

    def __init__(self) -> None:
        self.files = Files(os.environ["SERVED"])

    @bentoml.api(batchable=True, max_batch_size=64, max_latency_ms=1000)
    def predict(self, instances: list[dict]) -> list[dict]:
        """Answer all rows at once."""
        return self.files.answers(instances)

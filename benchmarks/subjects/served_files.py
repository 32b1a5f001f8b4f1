"""A served model as its peers get it: from a file, with rows as dictionaries in and answers as dictionaries out."""

import json
import warnings
from pathlib import Path

import numpy as np
import polars as pl
import skops.io

warnings.simplefilter("ignore")  # a matrix has no names of columns


class Files:
    """One model, loaded."""

    def __init__(self, name):
        path = Path(f"{name}.skops")
        self.model = skops.io.load(path, trusted=skops.io.get_untrusted_types(file=path))
        self.about = json.loads(Path(f"{name}.json").read_text(encoding="utf-8"))
        self._is_matrix = "string" not in self.about["types"]

    def answers(self, rows):
        """Return label and probabilities of each row: one call of the model for all."""
        names = self.about["features"]
        if self._is_matrix:
            table = np.array([[row[name] for name in names] for row in rows], dtype=np.float64)
        else:
            table = pl.DataFrame({name: [row[name] for row in rows] for name in names})
        labels = self.about["labels"]
        return [
            {"label": labels[int(each.argmax())], "probabilities": dict(zip(labels, each.tolist(), strict=True))}
            for each in self.model.predict_proba(table)
        ]

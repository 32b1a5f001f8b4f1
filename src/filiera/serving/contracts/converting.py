"""Whether a candidate of a new major answers applications of the one before as these were promised."""

from __future__ import annotations

from collections.abc import Iterator

from filiera.errors import FilieraError
from filiera.serving.contract import ModelContract
from filiera.serving.contracts import meaning
from filiera.serving.contracts.made_rows import MadeRows
from filiera.serving.contracts.part import Part
from filiera.serving.conversion import converted
from filiera.serving.served_model import ServedModel

NAME = "conversion"
_ROWS = 64


class Converting:
    """A candidate that answers at the address of the major before, if it can."""

    def __init__(self, candidate: ServedModel, before: ModelContract | None) -> None:
        """Convert from the contract *before*; None: the candidate does not convert."""
        self._before = before
        self._model: ServedModel | None = None
        self._fault: FilieraError | None = None
        if before is not None:
            signature, version = candidate.contract.signature, candidate.contract.version
            try:
                self._model = converted(candidate.predictor, before, version=version, signature=signature)
            except FilieraError as error:
                self._fault = error

    def beside(self, candidate: ServedModel) -> list[ServedModel]:
        """Return what answers: the candidate, and behind it what answers applications of the major before."""
        return [candidate, *([self._model] if self._model is not None else [])]

    def parts(self) -> Iterator[Part]:
        """Yield what was found; nothing where the candidate does not convert."""
        if self._fault is not None:
            lines = tuple(self._fault.why.split("; "))
            yield Part(name=NAME, state="failed", reason=self._fault.what, details=lines)
        if self._before is None or self._model is None:
            return
        signature = self._before.signature
        rows = MadeRows(signature).ordinary(min(_ROWS, signature.max_rows))
        found = meaning.check_meaning(meaning.answers_by(self._model), signature, rows)
        who = f"applications of major {signature.major}"
        if found.state == "passed":
            promise = f"{self._before.name}@{self._before.version}"
            yield Part(name=NAME, state="passed", reason=f"{who} get at {self._before.address} what {promise} promised")
        else:
            yield Part(name=NAME, state="failed", reason=f"{who}: {found.reason}", details=found.details)

"""A serving graph that answers as a model does, and keeps what the models inside have answered."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Protocol

from filiera.core.signature import Signature
from filiera.core.value import dataclass
from filiera.ports import PredictionLog
from filiera.serving.batch import Batch, Outputs
from filiera.serving.course import Course, GraphOutputs, Note, Watched, within
from filiera.serving.predictor import checked

if TYPE_CHECKING:
    from filiera.serving.graph_parts import Part
    from filiera.serving.served_model import ServedModel


@dataclass(frozen=True, kw_only=True, slots=True)
class Member:
    """A model version that a graph names."""

    name: str
    signature: Signature
    predictor: Any  #: has ``is_brief`` and ``predict``, as ``predictor.Predicts``
    version: int = 0


class Stops(Protocol):
    """What a graph has started."""

    def stop(self) -> None:
        """End it."""


class GraphPredictor:
    """A graph that answers as a model does."""

    runtime = "graph"

    def __init__(
        self, part: Part, nodes: Mapping[str, Watched], *, headers: Mapping[str, str], models: Mapping[str, Member]
    ) -> None:
        """Answer by *part*; *nodes* and *models* are those in it, by name."""
        self.is_brief = part.is_brief
        self.headers = headers  #: which header gives an input for all rows of a request, by input
        self.nodes = nodes
        self.part = part
        self.processes: Sequence[Stops] = ()  #: ended when this is let go of
        self._models = models
        self._kept: dict[str, ServedModel] = {}

    def predict(self, batch: Batch) -> Outputs:
        """Return one array per output of the signature, all numbers finite. Raises PredictionFailed."""
        notes: list[Note | Future[list[Note]]] | None = [] if self._kept else None
        course = Course(deadline_s=batch.deadline_s, notes=notes)
        outputs = checked(within(course, lambda: self.part.predict(batch)), batch.height)
        if notes is None:
            return outputs
        found = GraphOutputs(outputs)
        found.notes = notes
        return found

    def log_to(self, log_of: Callable[[str], PredictionLog]) -> None:
        """Keep what each model inside answers in the log that *log_of* gives for its name, under the graph's ids."""
        from filiera.serving.served_model import ServedModel

        for node, member in self._models.items():
            self._kept[node] = ServedModel(
                member.name,
                member.predictor,
                version=member.version,
                signature=member.signature,
                log=log_of(member.name),
            )

    def log_nodes(self, outputs: Outputs, ids: Sequence[str]) -> None:
        """Log what the models inside have answered, for a graph's answers that are called *ids*."""
        for note in getattr(outputs, "notes", ()):
            if isinstance(note, Future):
                note.add_done_callback(lambda future: self._log_later(future, ids))
            else:
                self._log(note, ids)

    def samples(self) -> Iterator[tuple[str, float]]:
        """Yield what nodes have counted, as Prometheus spells it."""
        for name, node in self.nodes.items():
            for what in ("requests", "rows", "failures", "seconds"):
                yield f'filiera_node_{what}_total{{node="{name}"}}', node.counts[what]
            left_out = getattr(node.part, "left_out", None)
            if left_out is not None:
                yield f'filiera_node_left_out_total{{node="{name}"}}', left_out

    def stop(self) -> None:
        """End the processes of nodes."""
        for process in self.processes:
            process.stop()

    def _log_later(self, future: Future[list[Note]], ids: Sequence[str]) -> None:
        if not future.cancelled() and future.exception() is None:
            for note in future.result():
                self._log(note, ids)

    def _log(self, note: Note, ids: Sequence[str]) -> None:
        model = self._kept.get(note.node)
        if model is not None:
            named = tuple(ids if note.places is None else [ids[place] for place in note.places])
            model.keep([note.batch], note.outputs, named)

"""How a project's services keep what they answer."""

from __future__ import annotations

from typing import Literal, get_args

from filiera.core.value import dataclass

Durability = Literal["interval", "before-reply"]
WhenFull = Literal["count", "refuse"]
DURABILITIES: tuple[str, ...] = get_args(Durability)
WHEN_FULL: tuple[str, ...] = get_args(WhenFull)


@dataclass(frozen=True, kw_only=True, slots=True)
class PredictionRules:
    """What ``[predictions]`` of ``filiera.toml`` says."""

    durability: Durability = "interval"  #: a power cut may lose a tenth of a second; or replies wait for the disk
    when_full: WhenFull = "count"  #: what the log cannot keep is answered and counted; or it is refused
    keep_days: float | None = None  #: clean-up removes older predictions; None: none for their age
    keep_mib: int | None = None  #: and the oldest of a model beyond so much; None: none for their size

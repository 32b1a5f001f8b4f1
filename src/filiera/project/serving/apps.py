"""What answers for a service, put together from its offers; and the end of their logs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from filiera.project.serving.offers import Offer
from filiera.project.serving.token import token_given

if TYPE_CHECKING:
    from filiera.serving.app import App, Limits
    from filiera.serving.watch import Watch


def app_of(offers: Sequence[Offer], *, watch: Watch, limits: Limits | None = None, is_guarded: bool = False) -> App:
    """Return what answers, not started.

    Args:
        offers: What it serves; loaded here.
        watch: Where what is noted of requests goes.
        limits: How much it takes.
        is_guarded: What is around it has let in only who may ask. Else callers need the token; without a token they
            have to call this machine by a local name.
    """
    from filiera.serving.app import App

    token = None if is_guarded else token_given()
    return App(
        [offer.mount() for offer in offers],
        token=token,
        local_names_only=token is None and not is_guarded,
        limits=limits,
        watch=watch,
    )


@contextmanager
def closing_logs(offers: Sequence[Offer]) -> Iterator[None]:
    """Close the prediction logs behind the block."""
    try:
        yield
    finally:
        for offer in offers:
            if offer.log is not None:
                offer.log.close()

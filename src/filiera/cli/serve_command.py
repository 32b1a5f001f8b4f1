"""``filiera serve``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from filiera.cli.durations import seconds_of
from filiera.errors import UsageError
from filiera.project.serving.apps import app_of, closing_logs
from filiera.project.serving.offers import Offer, offers_of, service_name
from filiera.project.serving.token import TOKEN_VARIABLE, token_given

if TYPE_CHECKING:
    from filiera.serving.app import App


def run(options: argparse.Namespace) -> int:
    """Serve models and functions until Ctrl-C; every answer is logged."""
    from filiera.serving.listening import must_have_token
    from filiera.serving.server import serve
    from filiera.serving.watch import watch_of

    if must_have_token(options.host) and token_given() is None:
        raise UsageError(
            f"{options.host} can be reached from other machines.",
            why="A service that others reach needs a token.",
            do=f"Set {TOKEN_VARIABLE}, or serve on 127.0.0.1.",
        )
    if options.workers < 1 or (options.workers > 1 and options.grpc_port is not None):
        raise UsageError(
            "--workers takes 1 or more." if options.workers < 1 else "gRPC is answered by one worker only.",
            do="leave out --grpc-port, or --workers" if options.workers > 1 else "",
        )
    cache_s = seconds_of(options.cache, "--cache")
    offers = offers_of(options.names, profile=options.profile, tell=_tell, cache_s=cache_s)
    if cache_s and not any(offer.kind == "models" for offer in offers):
        raise UsageError("--cache is for models, and here is none.", do="mark a function @service(cache_s=60)")
    if options.workers > 1:
        return _serve_by_workers(options, offers, cache_s)

    def build() -> App:
        watch = watch_of(service_name(offers), access_log=options.access_log, tell=_tell)
        return app_of(offers, watch=watch)

    with closing_logs(offers):
        serve(
            build,
            host=options.host,
            port=options.port,
            grpc_port=options.grpc_port,
            on_ready=lambda addresses: _announce(addresses, offers),
        )
    _tell(f"stopped; {_ending(offers)}")
    return 0


def _serve_by_workers(options: argparse.Namespace, offers: list[Offer], cache_s: float) -> int:
    from filiera.project.serving.serve_workers import Workers
    from filiera.serving.listening import listen, url_of

    with listen(options.host, options.port) as listener:
        words = {"names": options.names, "profile": options.profile, "access_log": options.access_log}
        words["cache_s"] = cache_s
        workers = Workers(words, listener=listener.fileno(), tell=_tell)
        exit_code = workers.run(options.workers, lambda: _announce([url_of(listener)], offers, options.workers))
    if not exit_code:
        _tell(f"stopped; {_ending(offers, workers.lost)}")
    return exit_code


def _announce(addresses: Sequence[str], offers: list[Offer], workers: int = 1) -> None:
    url = addresses[0]
    lines = [f"serving {', '.join(offer.shown for offer in offers)} at {url}"]
    if workers > 1:
        lines.append(f"  workers   {workers}")
    for offer in offers:
        if offer.follows:
            lines.append(f"  follows   {offer.follows}")
        lines += [f"  asks      {asked}" for asked in offer.asks]
        if offer.runs_on:
            lines.append(f"  runs on   {offer.runs_on}")
        verb = "predict" if offer.kind == "models" else "call"
        lines += [f"  {verb:<9} POST {url}{path}" for path in offer.calls]
    lines += [f"  gRPC      {address}" for address in addresses[1:]]
    if any(offer.log is None for offer in offers):
        lines.append("  log       none: this is no project")
    _tell("\n".join([*lines, f"  contract  GET  {url}/openapi.json", "  stop      Ctrl-C"]))


def _ending(offers: list[Offer], lost: int = 0) -> str:
    logs = [offer.log for offer in offers if offer.log is not None]
    lost += sum(log.dropped() for log in logs)
    if lost:
        return f"{lost:,} predictions could not be logged"
    return "all predictions are logged" if logs else "nothing was logged"


def _tell(text: str) -> None:
    print(text, flush=True)

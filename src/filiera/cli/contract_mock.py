"""``filiera contract mock``."""

from __future__ import annotations

import argparse
import signal

from filiera.cli.contract_sides import find_contract, listening
from filiera.serving.contracts.mock import mock_app
from filiera.serving.in_process import InProcess

_ENDS = {signal.SIGINT, signal.SIGTERM}


def run(options: argparse.Namespace) -> int:
    """Answer requests as the contract promises, until Ctrl-C or SIGTERM."""
    contract = find_contract(options.contract, options.profile)
    # In this thread and those that it starts, so that none is interrupted and the wait below sees them.
    signal.pthread_sigmask(signal.SIG_BLOCK, _ENDS)
    with InProcess(mock_app(contract)) as service, listening(service.ask, options.port) as server:
        print(f"mock of {contract.name} at {server.url}", flush=True)
        print(f"  predict   POST {server.url}{contract.predict_path}", flush=True)
        print(f"  contract  GET  {server.url}/openapi.json\n  stop      Ctrl-C", flush=True)
        signal.sigwait(_ENDS)
    print("stopped")
    return 0

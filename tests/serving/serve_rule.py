"""Serves the small model in a process of its own: the log's folder, how long a body may take, options.

Prints the URL, and behind it the address for gRPC if that is to be answered too.
"""

from __future__ import annotations

import sys
from pathlib import Path

from filiera.adapters.prediction_segments import SegmentLog
from filiera.serving.access_log import AccessLog
from filiera.serving.app import App, Limits
from filiera.serving.endpoint import Endpoint
from filiera.serving.feedback import Feedback
from filiera.serving.model_mount import ModelMount
from filiera.serving.served_model import ServedModel
from filiera.serving.server import serve
from filiera.serving.watch import Watch
from tests.serving.offers import SIGNATURE, Rule


def main() -> None:
    log = SegmentLog(Path(sys.argv[1]), sync_every_s=3600.0)

    def build() -> App:
        model = ServedModel("flows", Rule(), version=3, signature=SIGNATURE, log=log)
        endpoint = Endpoint(model)
        mount = ModelMount(endpoint, feedback=Feedback(lambda: endpoint.stable.contract, log))
        watch = Watch(access_log=AccessLog(f"{sys.argv[1]}.access")) if "access" in sys.argv[3:] else None
        return App([mount], local_names_only=True, limits=Limits(body_s=float(sys.argv[2])), watch=watch)

    grpc_port = 0 if "grpc" in sys.argv[3:] else None
    serve(build, host="127.0.0.1", port=0, grpc_port=grpc_port, on_ready=lambda found: print(*found, flush=True))
    log.close()
    print("stopped", flush=True)


if __name__ == "__main__":
    main()

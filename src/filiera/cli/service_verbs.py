"""What can be asked of services: each verb with its arguments; ``cli/VERB_command.py`` does it."""

from __future__ import annotations

from filiera.cli.verbs import MODEL, Verbs


def add_service_verbs(verbs: Verbs) -> None:
    """Add the verbs that serve, ship, ask and watch."""
    sub = verbs.add("serve", "serve models and functions as a microservice")
    text = f"a model: {MODEL}; or a function or graph: module:name, or the name that it is given in the project"
    sub.add_argument("names", nargs="+", metavar="name", help=text)
    sub.add_argument("--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1)")
    sub.add_argument("--port", type=int, default=8000, help="port; 0 takes a free one (default: 8000)")
    text = "processes that share the port, about one for each processor (default: 1)"
    sub.add_argument("--workers", type=int, default=1, metavar="N", help=text)
    text = "keep answers of models so long, such as 60s, for who asks the same (default: 0s, not at all)"
    sub.add_argument("--cache", default="0s", metavar="TIME", help=text)
    text = "write a line of JSON for each request to this file; - for standard output"
    sub.add_argument("--access-log", default="", metavar="FILE", help=text)
    text = "answer gRPC (Open Inference Protocol) there too; 0 takes a free one"
    sub.add_argument("--grpc-port", type=int, metavar="PORT", help=text)
    sub = verbs.add("up", "run the services of filiera.toml: woken when called, asleep when idle")
    sub.add_argument("service", nargs="*", help="only these (default: all)")
    text = "tell the metrics of all services on this port of this machine, also of those asleep; 0 takes a free one"
    sub.add_argument("--metrics-port", type=int, metavar="PORT", help=text)
    sub = verbs.add_with_json("services", "list the services of filiera.toml, and how they stand")
    text = "replace the workers of a service by new ones, without a gap"
    sub.add_argument("--renew", default="", metavar="SERVICE", help=text)
    text = "say whether they are up and none is given up: exit code 1 when not"
    sub.add_argument("--healthy", action="store_true", help=text)
    sub = verbs.add("ship", "write what services need to run somewhere else: image, compose, Kubernetes, systemd")
    text = "a service of filiera.toml (default: all of them); or what filiera serve takes"
    sub.add_argument("names", nargs="*", metavar="name", help=text)
    sub.add_argument("--to", required=True, metavar="FOLDER", help="folder to make, or an empty one")
    forms = ("container", "compose", "kubernetes", "kserve", "nuclio", "systemd")
    text = f"what is to run it: {', '.join(forms)} (default: container)"
    sub.add_argument("--for", dest="form", default="container", choices=forms, metavar="FORM", help=text)
    sub.add_argument("--wheels", metavar="FOLDER", help="wheels to take along, for what no package index has")
    group = verbs.add_group("predictions", "list what services have answered, and pack it into tables")
    if group is not None:
        sub = group.add_with_json("list", "list the models and functions whose answers are kept, and how much that is")
        sub = group.add_with_json("pack", "move what services do not write to any more into Parquet tables")
        sub.add_argument("name", nargs="*", help="models, or functions as functions/NAME (default: all)")
    group = verbs.add_group("queue", "put messages for services, look at them, put dead ones back")
    if group is not None:
        from filiera.cli.queue_verbs import add_queue_verbs

        add_queue_verbs(group)
    _add_delivery_verbs(verbs)
    _add_asking_verbs(verbs)


def _add_asking_verbs(verbs: Verbs) -> None:
    sub = verbs.add("predict", "predict rows of a file, in this process or by a service")
    sub.add_argument("model", help=f"{MODEL}; or a graph: module:name, or its name")
    sub.add_argument("file", help=".csv, .parquet, .jsonl, or - for standard input")
    text = "what the rows are: csv, jsonl, parquet or arrow (a stream); default: by ending, or by how they begin"
    sub.add_argument("--format", choices=("csv", "jsonl", "parquet", "arrow"), help=text)
    sub.add_argument("--url", help="ask the service at this address instead")
    sub.add_argument("--limit", type=int, metavar="N", help="at most so many rows")
    sub.add_argument("--to", metavar="FILE", help="write to this .parquet, .csv or .jsonl instead of printing")
    sub = verbs.add_with_json("feedback", "say what became of a model's predictions: outcomes and actions")
    sub.add_argument("model", metavar="NAME", help="the model")
    sub = verbs.add("client", "write a typed Python client of a model, which needs nothing but Python")
    sub.add_argument("model", help=MODEL)
    sub.add_argument("--to", metavar="FILE", help="write to this file instead of printing")
    sub = verbs.add_with_json("monitor", "compare what a service saw and said with the training data")
    sub.add_argument("model", help=MODEL)
    sub.add_argument("--last", type=int, metavar="N", help="the last so many predictions")
    sub.add_argument("--since", metavar="TIME", help="predictions since so long ago: 30m, 12h, 7d")
    sub.add_argument("--html", metavar="FILE", help="write a report with plots")


def _add_delivery_verbs(verbs: Verbs) -> None:
    alias = "whose callers (default: champion)"
    sub = verbs.add("deploy", "bring a version to the callers of an alias in stages, and back when it is worse")
    sub.add_argument("which", metavar="NAME@VERSION", help="the version")
    sub.add_argument("alias", nargs="?", default="champion", help=alias)
    text = "shadow, and percentages of requests that it answers (default: shadow,5,25)"
    sub.add_argument("--stages", default="shadow,5,25", help=text)
    sub.add_argument("--every", default="10m", metavar="TIME", help="a stage lasts at least so long (default: 10m)")
    text = "and has at least so many requests (default: 200)"
    sub.add_argument("--requests", type=int, default=200, metavar="N", help=text)
    text = "of its answers in shadow at least this share must be as those of the version before, such as 0.95"
    sub.add_argument("--agreement", type=float, metavar="SHARE", help=text)
    text = "roll back too when its predictions have drifted from its training data"
    sub.add_argument("--monitor", action="store_true", help=text)
    sub.add_argument("--reason", default="", metavar="TEXT", help="kept with the deployment")
    sub.add_argument("--watch", action="store_true", help="print what happens until it ends; 3 when it was rolled back")
    sub = verbs.add("rollback", "give callers the version before, at once")
    sub.add_argument("model", metavar="NAME", help="the model")
    sub.add_argument("alias", nargs="?", default="champion", help=alias)
    sub.add_argument("--reason", default="", metavar="TEXT", help="kept with the rollback")
    sub = verbs.add_with_json("deployments", "list deployments, and what the services that follow an alias serve")
    sub.add_argument("name", nargs="?", default="", help="of this model only; shows its newest")
    sub.add_argument("--watch", action="store_true", help="print what happens until it ends; 3 when it was rolled back")

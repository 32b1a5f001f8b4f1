"""What ``filiera queue`` can be asked: each verb with its arguments; ``cli/queue_VERB.py`` does it."""

from __future__ import annotations

from filiera.cli.verbs import Verbs

_SERVICE = "name of the service, which is that of its queue"
_IDS = "the messages (default: all dead ones)"


def add_queue_verbs(verbs: Verbs) -> None:
    """Add the verbs behind ``filiera queue``."""
    sub = verbs.add_with_json("put", "put a message for a service; it is handled also if the service is not up now")
    sub.add_argument("service", help=_SERVICE)
    text = "JSON, as the service takes it in a request; - reads one message per line from standard input (default: {})"
    sub.add_argument("body", nargs="?", default="{}", help=text)
    sub.add_argument(
        "--method", default="", help="of a class, which is called; else the one that the service names, or the first"
    )
    sub = verbs.add_with_json("list", "list the queues; with a service, the messages that wait for it")
    sub.add_argument("service", nargs="?", default="", help=_SERVICE)
    sub.add_argument("--limit", type=int, default=20, metavar="N", help="at most so many messages (default: 20)")
    sub = verbs.add_with_json("dead", "list the messages that a service could not handle, and why")
    sub.add_argument("service", help=_SERVICE)
    sub.add_argument("--limit", type=int, default=20, metavar="N", help="at most so many messages (default: 20)")
    sub = verbs.add_with_json("retry", "let dead messages wait again, as if never tried")
    sub.add_argument("service", help=_SERVICE)
    sub.add_argument("id", nargs="*", help=_IDS)
    sub = verbs.add_with_json("drop", "remove dead messages for good")
    sub.add_argument("service", help=_SERVICE)
    sub.add_argument("id", nargs="+", help="the messages; all means all dead ones")

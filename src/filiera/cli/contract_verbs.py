"""What ``filiera contract`` can be asked: each verb with its arguments; ``cli/contract_VERB.py`` does it."""

from __future__ import annotations

from filiera.cli.verbs import Verbs

MODEL = "NAME@VERSION or NAME@ALIAS (default: @champion)"
SIDE = f"{MODEL}, or a file that contract show wrote"


def add_contract_verbs(verbs: Verbs) -> None:
    """Add the verbs behind ``filiera contract``."""
    sub = verbs.add("show", "print what applications may count on, as JSON")
    sub.add_argument("model", help=MODEL)
    sub = verbs.add_with_json("diff", "say what a new contract means for applications that keep to the old one")
    text = f"{SIDE}; or both OpenAPI documents, such as /openapi.json of a service gives"
    sub.add_argument("old", help=text)
    sub.add_argument("new", help=text)
    sub = verbs.add_with_json("verify", "ask all that must hold before a version answers applications")
    sub.add_argument("model", metavar="NAME@VERSION", help="the version")
    text = "the alias that it would get: what that points at now is what is compared (default: champion)"
    sub.add_argument("alias", nargs="?", default="champion", help=text)
    text = "ask the service that runs there, with the token of $FILIERA_TOKEN: does it keep the version's contract?"
    sub.add_argument("--url", metavar="URL", help=text)
    sub = verbs.add_with_json("can-deploy", "say whether all applications that run somewhere can live with a version")
    sub.add_argument("model", metavar="NAME@VERSION", help="the version")
    sub.add_argument("--to", required=True, metavar="ENVIRONMENT", help="where, such as prod")
    sub = verbs.add("deployed", "note that a version of an application runs somewhere now")
    sub.add_argument("consumer", metavar="NAME@VERSION", help="the application and its version, such as shop@1.4")
    sub.add_argument("--to", required=True, metavar="ENVIRONMENT", help="where, such as prod")
    sub = verbs.add("mock", "answer as a model's contract promises, without the model, until Ctrl-C")
    sub.add_argument("contract", help=SIDE)
    sub.add_argument("--port", type=int, default=8000, help="port; 0 takes a free one (default: 8000)")
    usage = "filiera contract record CONTRACT --consumer NAME@VERSION [OPTIONS] -- COMMAND"
    sub = verbs.add("record", "run an application's tests against a mock, and write down what they need", usage=usage)
    sub.add_argument("contract", help=SIDE)
    sub.add_argument("--consumer", required=True, metavar="NAME@VERSION", help="the application, such as shop@1.4")
    sub.add_argument("--to", default="contracts", metavar="FOLDER", help="where the file goes (default: contracts)")
    text = "only these parts of predictions are read, such as label,probabilities.attack (default: all)"
    sub.add_argument("--reads", default="", metavar="PARTS", help=text)
    text = "the application compares a number with this, such as probabilities.attack=0.8; may be given several times"
    sub.add_argument("--threshold", action="append", default=[], metavar="PART=NUMBER", help=text)
    sub.add_argument("command", nargs="+", help="the tests; they find the mock's address in $FILIERA_URL")

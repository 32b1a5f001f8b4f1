"""What ``filiera experiment`` can be asked: each verb with its arguments; ``cli/experiment_VERB.py`` does it."""

from __future__ import annotations

from filiera.cli.verbs import Verbs

_NAME = "the experiment (default: the one whose worktree this is)"


def add_experiment_verbs(verbs: Verbs) -> None:
    """Add the verbs behind ``filiera experiment``."""
    _add_work(verbs)
    _add_looks(verbs)
    _add_sweep(verbs)
    _add_ends(verbs)
    _add_others(verbs)


def _add_work(verbs: Verbs) -> None:
    sub = verbs.add_with_json("start", "begin an experiment: a branch and a folder of its own")
    sub.add_argument("name", help="small letters, digits and '-'")
    sub.add_argument("--from", dest="base", metavar="COMMIT", default="HEAD", help="where it begins (default: HEAD)")
    text = "what becomes of changes that are not committed: they come along (the default), stay, or are refused"
    sub.add_argument("--dirty", choices=("carry", "ignore", "refuse"), default="carry", help=text)
    sub.add_argument(
        "--into", default="", metavar="BRANCH", help="where it will be merged (default: the current branch)"
    )
    text = "write only this folder, those above it and the flows, of a large repository; may be given several times"
    sub.add_argument("--only", action="append", default=[], metavar="FOLDER", help=text)
    sub = verbs.add_with_json("run", "run a pipeline of experiments, and keep what came of it in their branches")
    sub.add_argument("name", nargs="*", help=_NAME)
    text = "the pipeline (default: the one it has run last, or the only one of kind model)"
    sub.add_argument("--pipeline", default="", metavar="NAME", help=text)
    text = "set a parameter, such as max_depth=20; may be given several times"
    sub.add_argument("--set", action="append", default=[], metavar="PARAMETER=VALUE", help=text)
    text = "run STEP though it is cached; may be given several times"
    sub.add_argument("--fresh", action="append", default=[], metavar="STEP", help=text)
    sub.add_argument(
        "--jobs", type=int, default=1, metavar="N", help="of several experiments run N at once (default: 1)"
    )


def _add_looks(verbs: Verbs) -> None:
    sub = verbs.add_with_json("list", "list experiments: how they stand, and their newest metrics")
    text = "show these metrics and parameters, such as f1_macro,fit.depth, or all (default: those that gates decide on)"
    sub.add_argument("--columns", default="", metavar="NAMES", help=text)
    sub.add_argument("--sort", default="", metavar="NAME", help="sort by a metric or parameter, the best first")
    sub.add_argument("--accepted", action="store_true", help="list those that were accepted, the newest first")
    sub.add_argument("--archived", action="store_true", help="list those that were dropped")
    sub = verbs.add_with_json("show", "show an experiment: how it began, how it stands, its runs, what to do next")
    sub.add_argument("name", nargs="?", default="", help=_NAME)
    sub = verbs.add_with_json("compare", "show experiments side by side, and which is better on the same rows")
    text = (
        "experiments, NAME/RUN for one run of one, or main for what the target has; the others are compared with the"
        " first (default: main, and the experiment whose worktree this is)"
    )
    sub.add_argument("name", nargs="*", help=text)
    sub.add_argument("--metric", default="", metavar="NAMES", help="only these, such as f1_macro,accuracy")
    sub.add_argument("--html", metavar="FILE", help="write it as a page with drawings instead")
    text = "compare them although other rows were evaluated or other data used; each report says so"
    sub.add_argument("--allow-different-data", action="store_true", help=text)


def _add_sweep(verbs: Verbs) -> None:
    sub = verbs.add_with_json("sweep", "run a pipeline of an experiment with many parameters")
    sub.add_argument("name", nargs="?", default="", help=_NAME)
    text = "values of a parameter, such as max_depth=4,8,12; may be given several times"
    sub.add_argument("--grid", action="append", default=[], metavar="PARAMETER=VALUES", help=text)
    text = "the range of a parameter, such as max_depth=2..20 or rate=0.001..0.1:log; may be given several times"
    sub.add_argument("--space", action="append", default=[], metavar="PARAMETER=RANGE", help=text)
    text = "draw so many at random (default: run all combinations)"
    sub.add_argument("--trials", type=int, default=0, metavar="N", help=text)
    sub.add_argument("--seed", type=int, default=0, metavar="N", help="the same seed draws the same (default: 0)")
    text = "set a parameter in all runs; may be given several times"
    sub.add_argument("--set", action="append", default=[], metavar="PARAMETER=VALUE", help=text)
    text = "the pipeline (default: the one it has run last, or the only one of kind model)"
    sub.add_argument("--pipeline", default="", metavar="NAME", help=text)
    text = "sort by this metric (default: that of the first gate)"
    sub.add_argument("--metric", default="", metavar="NAME", help=text)


def _add_ends(verbs: Verbs) -> None:
    sub = verbs.add_with_json("sync", "bring an experiment up to date with its target: files and datasets")
    sub.add_argument("name", nargs="?", default="", help=_NAME)
    sub = verbs.add_with_json("accept", "merge an experiment whose gates pass, and publish what it has made")
    sub.add_argument("name", nargs="?", default="", help=_NAME)
    sub.add_argument("--into", default="", metavar="BRANCH", help="merge into this branch (default: as it was started)")
    sub.add_argument("--squash", action="store_true", help="make one commit of it")
    sub.add_argument("--drop-others", action="store_true", help="move all other experiments into the archive")
    sub.add_argument("--allow-data-change", action="store_true", help="although its target uses other data by now")
    sub.add_argument("--dry-run", action="store_true", help="say whether it can be accepted, and change nothing")
    sub = verbs.add_with_json("drop", "move experiments into the archive: their branches and folders go")
    sub.add_argument("name", nargs="*", help="the experiments")
    sub.add_argument("--all-but", default="", metavar="NAME", help="all but this one")
    sub.add_argument("--merged", action="store_true", help="all whose branches are merged into their targets")
    sub.add_argument("--force", action="store_true", help="keep changes that are not committed in the archive")
    sub = verbs.add_with_json("gc", "let go of what has been in the archive for long, and of what it has published")
    text = "keep what was dropped within so many days (default: 30)"
    sub.add_argument("--grace-days", type=float, default=30.0, metavar="DAYS", help=text)
    sub.add_argument("--dry-run", action="store_true", help="say what would go, with its bytes, and change nothing")
    text = "look for what killed processes left of experiments, such as half-made folders and locks"
    sub = verbs.add_with_json("doctor", text)
    sub.add_argument("--repair", action="store_true", help="mend what can be mended")
    sub = verbs.add_with_json("restore", "bring an experiment back from the archive")
    sub.add_argument("name", help="the experiment")


def _add_others(verbs: Verbs) -> None:
    which = "the experiments (default: the one whose worktree this is, elsewhere all)"
    remote = "the git remote (default: origin)"
    sub = verbs.add_with_json("push", "push experiments for others: branches, and what their runs have made")
    sub.add_argument("name", nargs="*", help=which)
    text = (
        "a folder or an address such as s3://bucket/experiments, for runs, models and datasets (default: branches only)"
    )
    sub.add_argument("--to", default="", metavar="PLACE", help=text)
    sub.add_argument("--remote", default="origin", metavar="NAME", help=remote)
    sub = verbs.add_with_json("pull", "take over experiments of others, and what their runs have made")
    sub.add_argument("name", nargs="*", help=which)
    sub.add_argument("--from", dest="source", default="", metavar="PLACE", help="what push was given with --to")
    sub.add_argument("--remote", default="origin", metavar="NAME", help=remote)

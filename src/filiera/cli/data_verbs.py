"""What ``filiera data`` can be asked: each verb with its arguments; ``cli/data_VERB.py`` does it."""

from __future__ import annotations

from filiera.cli.verbs import Verbs

TABLE = "NAME@VERSION, NAME (its newest version), RUN/STEP, or a file"


def add_data_verbs(verbs: Verbs) -> None:
    """Add the verbs behind ``filiera data``."""
    sub = verbs.add_with_json("diff", "compare two tables: columns, rows, distributions")
    sub.add_argument("before", help=TABLE)
    sub.add_argument("after", help=TABLE)
    text = "columns that name a row, such as id or country,year (default: the keys of the dataset)"
    sub.add_argument("--key", metavar="COLUMNS", help=text)
    sub.add_argument("--html", metavar="FILE", help="write a report with plots")
    sub = verbs.add_with_json("profile", "show what a table looks like, column by column")
    sub.add_argument("table", help=TABLE)
    sub.add_argument("--target", metavar="COLUMN", help="compare all columns with this one, and say which tell it")
    sub.add_argument("--associate", metavar="COLUMNS", help="compare each pair of these, such as age,income; or all")
    sub.add_argument("--html", metavar="FILE", help="write a report with plots")
    sub = verbs.add_with_json("look", "show what is in an XML file, and the catalog entry to begin with")
    sub.add_argument("file", help="the file, plain or compressed")
    sub = verbs.add("suggest-checks", "learn checks from a table, as Python to paste")
    sub.add_argument("table", help=TABLE)
    sub = verbs.add("export", "write a table to a file, folder or database that other programs read")
    sub.add_argument("table", help=TABLE)
    text = (
        "FILE.parquet, .csv, .jsonl or .arrow; FOLDER/ of Parquet files; NAME.delta, a Delta Lake table; or an entry "
    )
    sub.add_argument("--to", required=True, metavar="PLACE", help=text + "of the catalog: a file, or a table by sql")
    sub.add_argument("--replace", action="store_true", help="replace the file or the table that is there")
    sub.add_argument("--by", default="", metavar="COLUMN", help="divide FOLDER/ by the values of a column")
    sub = verbs.add_with_json("quarantined", "show the rows that a version's checks set aside, and why")
    sub.add_argument("which", metavar="NAME@VERSION", help="the version; NAME alone: the newest")
    sub.add_argument("--rule", metavar="RULE", default="", help="only rows that broke this rule")
    sub.add_argument("--limit", type=int, default=10, metavar="N", help="show at most so many rows (default: 10)")

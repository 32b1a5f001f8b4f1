"""Steps are functions: call them with small tables."""

import polars as pl
from flows.banners import decoded, with_recognition
from flows.scans import clean, features
from recognition.patterns import compiled


def test_packed_banners_become_readable() -> None:
    """Base64 is undone where it is said to be there, and nowhere else."""
    raw = pl.DataFrame({"banner": ["aGk=\n", "aGk="], "encoding": ["base64", None]})
    assert decoded(raw).to_dict(as_series=False) == {"banner": ["hi", "aGk="]}


def test_a_banner_is_recognised_by_its_pattern() -> None:
    """With the flags that stand beside the pattern, or in it."""
    rows = pl.DataFrame({"banner": ["SSH-2.0", "ssh-2.0"], "pattern": ["^SSH", "^SSH"], "flags": [None, "REG_ICASE"]})
    assert with_recognition(rows)["recognised"].to_list() == [True, True]
    assert not compiled("^SSH", None).search("ssh-2.0")
    assert compiled("^(?i)SSH", None).search("ssh-2.0")


def test_a_port_of_a_scan_is_there_once() -> None:
    """Two reports of one scan say the same."""
    port = {"started": [0, 0], "address": "10.0.0.1", "protocol": "tcp", "port": [22, 22], "state": ["open", "open"]}
    found = features(clean(pl.DataFrame(port).with_columns(cpes=pl.lit([], pl.List(pl.String)), scripts=pl.lit(["a"]))))
    assert found.select("is_open", "known_cpes", "known_scripts").rows() == [(True, 0, 1)]

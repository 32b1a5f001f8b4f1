from __future__ import annotations

import threading
from pathlib import Path

from filiera.errors import FilieraError
from filiera.project import plugins
from filiera.serving.client import ServiceClient
from tests.cli.callers import ROWS
from tests.cli.command import copied, done, read_until, started
from tests.cli.conftest import Ask


def test_no_acknowledged_feedback_is_lost_with_the_service(shop: Path, tmp_path: Path, ask: Ask) -> None:
    """Killed in the middle of it: what was acknowledged is there, with its predictions; the rest is aside."""
    folder = copied(shop, tmp_path / "shop")
    acknowledged: list[str] = []
    failures: list[FilieraError] = []
    enough = threading.Event()
    with started("serve", "spender", "--port", "0", cwd=folder) as process:
        url = read_until(process.stdout, " at ").rsplit(" at ", 1)[1].strip()
        client = ServiceClient(url)
        ids = [answer["id"] for answer in client.predict(ROWS * 300)]

        def tell() -> None:
            try:
                for name in ids:
                    client.feedback([{"prediction": name, "outcome": "yes"}, {"prediction": name, "action": "shipped"}])
                    acknowledged.append(name)
                    if len(acknowledged) == 20:
                        enough.set()
            except FilieraError as error:
                failures.append(error)
            finally:
                enough.set()

        client.feedback([{"prediction": "0" * 26, "outcome": "no"}])
        telling = threading.Thread(target=tell)
        telling.start()
        enough.wait()  # as long as the disk takes, which others may keep busy: each request has the client's limit
        assert failures == []
        process.kill()
        telling.join()
    assert len(acknowledged) >= 20
    kept = {record["id"] for record in plugins.feedback_log(folder / ".filiera", "spender").read()}
    assert set(acknowledged) <= kept <= {*ids, "0" * 26}
    said = done("feedback", "spender", cwd=folder).out
    assert "about predictions that this log does not have: 1; they are kept" in said
    found = ask("feedback", "spender", "--json", cwd=folder).data
    counts = found["versions"]["1"]
    assert counts["predictions"] == 300
    assert len(acknowledged) <= counts["outcomes"] <= len(acknowledged) + 1
    assert counts["right"] in (0, counts["outcomes"])
    assert (found["actions"]["shipped"] >= len(acknowledged), found["unknown"]) == (True, ["0" * 26])

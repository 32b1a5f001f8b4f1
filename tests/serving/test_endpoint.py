from __future__ import annotations

import threading

from filiera.serving.endpoint import Endpoint
from filiera.serving.served_model import ServedModel
from tests.serving.offers import SIGNATURE, Rule


def version(number: int) -> ServedModel:
    """Return the small model under a version number."""
    return ServedModel("flows", Rule(), version=number, signature=SIGNATURE)


def test_a_switch_is_between_two_requests() -> None:
    """A request that has begun keeps its version; one that begins after the switch gets the new one."""
    endpoint = Endpoint(version(1))
    with endpoint.answering() as older:
        switching = threading.Thread(target=endpoint.switch, args=(version(2),))
        switching.start()
        while endpoint.stable.contract.version != 2:
            pass
        with endpoint.answering() as newer:
            assert (older.model.contract.version, newer.model.contract.version) == (1, 2)
        assert switching.is_alive()  # the old version still answers one
    switching.join()


def test_a_switch_is_over_when_the_old_version_answers_nothing() -> None:
    """Without requests at once; with one that never ends it says so, and the new version answers all the same."""
    endpoint = Endpoint(version(1))
    assert endpoint.switch(version(2))
    with endpoint.answering():
        assert not endpoint.switch(version(3), drain_s=0.0)
    assert endpoint.stable.contract.version == 3


def test_a_failed_request_lets_its_version_go() -> None:
    """Whatever ends a request, it does not keep a switch waiting."""
    endpoint = Endpoint(version(1))
    try:
        with endpoint.answering():
            raise ValueError
    except ValueError:
        pass
    assert endpoint.switch(version(2), drain_s=0.0)

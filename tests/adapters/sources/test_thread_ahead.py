"""Work in a thread of its own."""

import threading

import pytest

from filiera.adapters.sources.thread_ahead import ahead


def test_items_come_in_order_from_one_other_thread():
    """However many there are, one thread makes them all, and it ends with them."""
    makers = set()

    def made():
        for number in range(50):
            makers.add(threading.current_thread())
            yield number

    assert list(ahead(made())) == list(range(50))
    (maker,) = makers
    assert maker is not threading.current_thread()
    assert not maker.is_alive()


def test_what_it_raises_is_raised_where_it_is_used():
    """Items made before are there all the same."""

    def made():
        yield 1
        raise ValueError("broken")

    items = ahead(made())
    assert next(items) == 1
    with pytest.raises(ValueError, match="broken"):
        next(items)


def test_whoever_stops_early_stops_it():
    """At most one item more is made than was taken."""
    made = []
    items = ahead(made.append(n) or n for n in range(100))
    assert [next(items), next(items)] == [0, 1]
    items.close()
    assert made in ([0, 1], [0, 1, 2])

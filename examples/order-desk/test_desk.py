from desk import to_call

ORDERS = [{"customer": f"c{n}", "pieces": n, "price": 12.5 * n} for n in range(1, 6)]


def test_only_customers_with_orders_are_called():
    assert [order for order in to_call(ORDERS) if order not in ORDERS] == []


def test_nobody_is_asked_twice():
    called = [order["customer"] for order in to_call(ORDERS)]
    assert len(called) == len(set(called))

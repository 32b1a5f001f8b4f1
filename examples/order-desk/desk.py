"""The order desk: which customers shall be called?"""

import json
import os
import urllib.request

SERVICE = os.environ.get("FILIERA_URL", "http://127.0.0.1:8000")


def to_call(orders: list[dict]) -> list[dict]:
    """Return those of the orders whose customers shall be called."""
    rows = [{"pieces": order["pieces"], "price": order["price"]} for order in orders]
    request = urllib.request.Request(
        f"{SERVICE}/v1/models/spender:predict",
        data=json.dumps({"instances": rows}).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request) as answer:
        predictions = json.load(answer)["predictions"]
    return [order for order, told in zip(orders, predictions, strict=True) if told["label"] == "yes"]

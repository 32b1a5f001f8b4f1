"""Runs ``filiera`` in this process and the workers that it forks with a clock that is set forth and back all the time.

python -m tests.faults.jumping SEED WORD…
"""

from __future__ import annotations

import random
import sys
import time

LONGEST_S = 40 * 86_400.0


class Jumping:
    """The time of day, by a clock that somebody sets at each look."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)
        self._true = time.time

    def __call__(self) -> float:
        jump_s = self._chance.choice((0.0, 0.001, 1.0, 3600.0, LONGEST_S))
        return self._true() + self._chance.uniform(-jump_s, jump_s)

    def ns(self) -> int:
        return int(self() * 1e9)


def main() -> int:
    seed, *words = sys.argv[1:]
    clock = Jumping(int(seed))
    time.time, time.time_ns = clock, clock.ns
    from filiera.cli.main import main as filiera  # after what it imports was changed

    return filiera(words)


if __name__ == "__main__":
    sys.exit(main())

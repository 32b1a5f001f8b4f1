"""multiprocessing: ``with_pool.py fits EPOCHS START``; prints seconds of eight fits in a pool of two processes."""

import multiprocessing
import sys
import time

import work


def main() -> None:
    """Start the pool, fit, and end it."""
    epochs, start = int(sys.argv[2]), int(sys.argv[3])
    before = time.perf_counter()
    with multiprocessing.Pool(2) as pool:
        found = pool.starmap(work.fit, [(seed, epochs) for seed in range(start, start + 8)], chunksize=1)
    print(time.perf_counter() - before)
    assert len(found) == 8


if __name__ == "__main__":
    main()

"""Optuna: ``models_with_optuna.py STORAGE TRIALS SEED``; prints the seconds of a study of trivial trials."""

import sys
import time

import optuna


def storage_of(kind: str, seed: int) -> object:
    """Return where trials are kept, a new file, or None for memory."""
    if kind == "journal":
        return optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(f"journal-{seed}"))
    return optuna.storages.RDBStorage(f"sqlite:///{seed}.db") if kind == "sqlite" else None


if __name__ == "__main__":
    kind, trials, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(storage=storage_of(kind, seed), sampler=optuna.samplers.RandomSampler(seed=seed))
    before = time.perf_counter()
    study.optimize(lambda t: (t.suggest_float("x", -10, 10) - 2) ** 2 + t.suggest_float("y", -10, 10) ** 2, trials)
    print(time.perf_counter() - before)

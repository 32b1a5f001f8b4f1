"""Makes ``flows`` and ``recognition`` importable for pytest, wherever it is started."""

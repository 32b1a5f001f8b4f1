"""Makes ``flows`` and ``traffic`` importable for pytest, wherever it is started."""

"""Makes ``flows`` and ``machines`` importable for pytest, wherever it is started."""

"""Makes ``flows`` importable for pytest, wherever it is started."""

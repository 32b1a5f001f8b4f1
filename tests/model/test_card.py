import subprocess
import sys


def test_reading_a_card_needs_no_heavy_library() -> None:
    """Commands that list versions decode cards; that loads neither polars nor NumPy nor scikit-learn."""
    heavy = "{'polars', 'numpy', 'sklearn', 'scipy'}"
    code = f"import sys, filiera.model.card; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

"""MLflow's scoring server: the model saved in its format, then `mlflow models serve`."""

import os
import shutil
import sys
from pathlib import Path

import mlflow.pyfunc
from served_files import Files


class Model(mlflow.pyfunc.PythonModel):
    """Answers a table."""

    def load_context(self, context):
        """Load the model."""
        self.files = Files(os.environ["SERVED"])

    def predict(self, context, model_input, params=None):
        """Answer all rows at once."""
        return self.files.answers(model_input.to_dict("records"))


if __name__ == "__main__":
    name, port = sys.argv[1:3]
    shutil.rmtree(f"mlflow-{name}", ignore_errors=True)
    mlflow.pyfunc.save_model(f"mlflow-{name}", python_model=Model(), code_paths=["served_files.py", "serve_mlflow.py"])
    os.environ["SERVED"] = name
    # It starts uvicorn by its name.
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    command = ["mlflow", "models", "serve", "-m", f"mlflow-{name}", "-p", port, "--env-manager", "local", "-w", "1"]
    os.execv(Path(sys.executable).with_name("mlflow"), command)

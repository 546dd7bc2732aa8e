"""`mlflow_client.py up|down URL FOLDER`: artifacts of one run to MLflow's artifact server and back. Needs mlflow."""

from __future__ import annotations

import json
import os
import sys
import time

os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"

from mlflow import MlflowClient

direction, url, folder = sys.argv[1:]
client = MlflowClient(url)
if direction == "up":
    run_id = client.create_run("0").info.run_id
    started = time.monotonic()
    client.log_artifacts(run_id, folder)
else:
    [run] = client.search_runs(["0"])
    started = time.monotonic()
    client.download_artifacts(run.info.run_id, "", folder)
print(json.dumps({"seconds": time.monotonic() - started}))

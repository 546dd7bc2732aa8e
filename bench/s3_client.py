"""`s3_client.py up|down URL FOLDER`: files to a bucket and back, by boto3's multipart transfers. Needs boto3."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import boto3

BUCKET = "regsvc-bench"

direction, url, folder = sys.argv[1], sys.argv[2], Path(sys.argv[3])
bucket = boto3.resource("s3", endpoint_url=url).Bucket(BUCKET)
if direction == "up":
    bucket.create()
    files = [path for path in folder.rglob("*") if path.is_file()]
    started = time.monotonic()
    for path in files:
        bucket.upload_file(str(path), str(path.relative_to(folder)))
else:
    keys = [item.key for item in bucket.objects.all()]
    started = time.monotonic()
    for key in keys:
        (folder / key).parent.mkdir(parents=True, exist_ok=True)
        bucket.download_file(key, str(folder / key))
seconds = time.monotonic() - started
if direction == "down":
    bucket.objects.all().delete()
print(json.dumps({"seconds": seconds}))

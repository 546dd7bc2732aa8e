"""`hash_files.py FOLDER`: BLAKE3 of every file by one thread, what `b3sum --num-threads 1` takes."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from blake3 import blake3

files = sorted(path for path in Path(sys.argv[1]).rglob("*") if path.is_file())
started = time.monotonic()
for path in files:
    blake3().update_mmap(path).digest()
print(json.dumps({"seconds": time.monotonic() - started}))

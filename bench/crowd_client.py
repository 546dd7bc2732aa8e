"""`crowd_client.py GO pull REF DIR` or `crowd_client.py GO push DIR MODEL`, as soon as the file GO is there.

Prints "ready", and when done the fields of `crowd.Answer` as JSON.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time

from regsvc.client.tuning import keep_freed_memory, load_numpy_with_one_thread

keep_freed_memory()
load_numpy_with_one_thread()

import regsvc  # noqa: E402 - NumPy first

go, verb, *arguments = sys.argv[1:]
client = regsvc.connect()
list(client.models())
print("ready", flush=True)
while not os.path.exists(go):
    time.sleep(0.005)
begin = time.monotonic()  # CLOCK_MONOTONIC is the same for all processes
result = getattr(client, verb)(*arguments)
end = time.monotonic()
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
print(json.dumps({"begin": begin, "end": end, "peak": peak, "digest": result.digest}))

"""What a server does not wait for when it starts."""

from __future__ import annotations

import subprocess
import sys


def test_a_server_starts_without_what_it_may_never_use() -> None:
    code = (
        "import sys, regsvc.server.running\n"
        "print(*sorted({'aiohttp', 'pandas', 'polars', 'matplotlib'} & set(sys.modules)))\n"
        "import pandas, sqlite_utils\n"
        "print(pandas.DataFrame({'a': [1]}).shape, sqlite_utils.Database(memory=True)['t'].insert({'a': 1}).count)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["", "(1, 1) 1"]

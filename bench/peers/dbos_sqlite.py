"""dbos on SQLite, as it ships: workflows of steps with the same results, so many at once. Prints one JSON object.

dbos 3.4.0 needs SQLite 3.42; pysqlite3 brings one along where the interpreter's is older.
"""

from __future__ import annotations

import json
import logging
import sqlite3
import sys
import tempfile
import time
from pathlib import Path

if sqlite3.sqlite_version_info < (3, 42):
    import pysqlite3

    sys.modules["sqlite3"] = sqlite3 = pysqlite3

from dbos import DBOS

TEXT = "x" * 280


@DBOS.step()
def work(number: int) -> dict[str, object]:
    return {"number": number, "text": TEXT}


@DBOS.workflow()
def steps(count: int) -> None:
    for number in range(count):
        work(number)


def main(instances: int, count: int) -> None:
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        DBOS(config={"name": "bench", "system_database_url": f"sqlite:///{folder}/dbos.sqlite", "log_level": "ERROR"})
        logging.disable(logging.WARNING)
        DBOS.launch()
        start = time.perf_counter()
        for handle in [DBOS.start_workflow(steps, count) for _ in range(instances)]:
            handle.get_result()
        seconds = time.perf_counter() - start
        DBOS.destroy()
    print(json.dumps({"seconds": seconds, "sqlite": sqlite3.sqlite_version}))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))

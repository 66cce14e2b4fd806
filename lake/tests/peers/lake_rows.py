#!/usr/bin/env python3
"""Prints all rows of a lake table as another engine reads them, one line a row, in text order.

usage: lake_rows.py pyiceberg|duckdb LAKE_DIR ticks|candles [SNAPSHOT_ID]

Columns are joined by '|'; times are microseconds since the epoch, decimals have 18 digits, flags are 0 or 1.
"""

import datetime
import decimal
import importlib.resources
import sys

EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
MICROSECOND = datetime.timedelta(microseconds=1)


def shown(value):
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, datetime.datetime):
        return str((value - EPOCH) // MICROSECOND)
    if isinstance(value, decimal.Decimal):
        return f"{value:.18f}"
    return str(value)


def pyiceberg_rows(lake, table, snapshot):
    from pyiceberg.catalog.sql import SqlCatalog

    # The name is part of the key of a table in the catalog: it must be "dexorder".
    catalog = SqlCatalog("dexorder", uri=f"sqlite:///{lake}/catalog.sqlite", warehouse=f"file://{lake}/warehouse")
    scan = catalog.load_table(f"dexorder.{table}").scan(snapshot_id=snapshot)
    return scan.to_arrow()


def duckdb_connection():
    import duckdb

    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    for name in ("avro", "iceberg"):
        files = importlib.resources.files(f"duckdb_extension_{name}") / "extensions" / f"v{duckdb.__version__}"
        connection.execute(f"LOAD '{files / (name + '.duckdb_extension')}'")
    return connection


def duckdb_rows(lake, table, snapshot):
    at = f", snapshot_from_id = {snapshot}" if snapshot else ""
    query = f"SELECT * FROM iceberg_scan('{lake}/warehouse/dexorder/{table}'{at})"
    return duckdb_connection().execute(query).to_arrow_table()


def main():
    engine, lake, table = sys.argv[1:4]
    snapshot = int(sys.argv[4]) if len(sys.argv) > 4 else None
    found = {"pyiceberg": pyiceberg_rows, "duckdb": duckdb_rows}[engine](lake, table, snapshot)
    rows = zip(*(column.to_pylist() for column in found.columns))
    for line in sorted("|".join(map(shown, row)) for row in rows):
        print(line)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""The peer of benches/append.rs: the same rows and schema, appended by pyiceberg (zstd, no fsync).

usage: append_pyiceberg.py LAKE_DIR     (the lake that `append --keep LAKE_DIR` left)
"""

import sys
import tempfile
import time

import pyarrow
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.partitioning import UNPARTITIONED_PARTITION_SPEC

APPENDS = 50


def catalog(directory, name="dexorder"):
    return SqlCatalog(name, uri=f"sqlite:///{directory}/catalog.sqlite", warehouse=f"file://{directory}/warehouse")


def run(name, table, rows, appends):
    size = -(-rows.num_rows // appends)
    batches = [rows.slice(start, size) for start in range(0, rows.num_rows, size)]
    wall, cpu = time.perf_counter(), time.process_time()
    for batch in batches:
        table.append(batch)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    stored = sum(task.file.file_size_in_bytes for task in table.scan().plan_files())
    millions = rows.num_rows / 1e6
    print(
        f"{name:<34} {millions / cpu:>6.2f} M rows/s per core  {millions / wall:>6.2f} M rows/s wall  "
        f"{stored / rows.num_rows:>5.2f} bytes/row  ({cpu:.2f} s cpu, {wall:.2f} s)",
        flush=True,
    )


def main():
    source = catalog(sys.argv[1]).load_table("dexorder.ticks")
    # In order of arrival, as our benchmark appends them.
    rows = source.scan().to_arrow().sort_by("receive_time").combine_chunks()
    print(f"pyiceberg, pyarrow {pyarrow.__version__}, {rows.num_rows} rows:", flush=True)
    with tempfile.TemporaryDirectory() as directory:
        peer = catalog(directory, "peer")
        peer.create_namespace("peer")
        for label, spec in (("no partitions", UNPARTITIONED_PARTITION_SPEC), ("day, bucket", source.spec())):
            for appends in (1, APPENDS):
                name = f"{appends} append{'s' * (appends > 1)}, {label}"
                try:
                    table = peer.create_table(f"peer.t{appends}_{len(label)}", source.schema(), partition_spec=spec)
                    run(name, table, rows, appends)
                except Exception as error:  # a part of pyiceberg that is not installed is left out, not an error of ours
                    print(f"{name:<34} left out: {type(error).__name__}: {str(error).splitlines()[0][:80]}")


if __name__ == "__main__":
    main()

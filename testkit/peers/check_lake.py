"""Compares the lake with a brute-force recomputation from recordings of Binance frames.

Reads the tables with pyiceberg and again with DuckDB. Every trade id of the recordings must be present exactly once in
`ticks`, and for every interval the candles (highest revision per open time) must equal what this file computes from the
recordings alone. Prints one line per series and exits with 1 at the first difference.
"""

import argparse
import json
import lzma
import sys
from collections import Counter
from decimal import Decimal
from pathlib import Path

import duckdb
import pyarrow.compute as pc
from pyiceberg.catalog.sql import SqlCatalog

INTERVALS = [1, 60, 300, 900, 3600, 14400, 86400]


def trades_of(path):
    """(venue, symbol) -> {trade id: (time in µs, price, size)} from one recording."""
    opener = lzma.open if path.suffix == ".xz" else open
    venue = "BINANCE-USDM" if path.name.startswith("usdm_") else "BINANCE"
    series = {}
    with opener(path, "rt") as lines:
        for line in lines:
            frame = json.loads(line.split(" ", 1)[1])
            data = frame.get("data", frame) if isinstance(frame, dict) else {}
            if data.get("e") != "trade":
                continue
            symbol = f"{data['s'].removesuffix('USDT')}/USDT"
            trade = (data["T"] * 1000, Decimal(data["p"]), Decimal(data["q"]))
            # A venue's own accounting entry without a price is no trade.
            if trade[1] > 0 and trade[2] > 0:
                series.setdefault((venue, symbol), {})[str(data["t"])] = trade
    return series


def candles_of(trades, interval):
    """open time in µs -> (open, high, low, close, volume, quote volume, trades), in the order of time and id."""
    width, candles = interval * 1_000_000, {}
    for _, (time, price, size) in sorted(trades.items(), key=lambda t: (t[1][0], int(t[0]))):
        start = time - time % width
        c = candles.get(start)
        if c is None:
            candles[start] = [price, price, price, price, size, price * size, 1]
        else:
            c[1], c[2], c[3] = max(c[1], price), min(c[2], price), price
            c[4], c[5], c[6] = c[4] + size, c[5] + price * size, c[6] + 1
    return {start: tuple(c) for start, c in candles.items()}


def micros(column):
    """Timestamps as integer microseconds."""
    return pc.cast(column, "int64").to_pylist()


def read_ticks(catalog):
    """(venue, symbol) -> list of trade ids."""
    table = catalog.load_table("dexorder.ticks").scan(selected_fields=("venue", "symbol", "trade_id")).to_arrow()
    series = {}
    for venue, symbol, trade in zip(*(table[name].to_pylist() for name in ("venue", "symbol", "trade_id"))):
        series.setdefault((venue, symbol), []).append(trade)
    return series, table.num_rows


def read_candles(catalog):
    """(venue, symbol, interval) -> {open time: (row, revision)} with the highest revision."""
    table = catalog.load_table("dexorder.candles").scan().to_arrow()
    names = ("open", "high", "low", "close", "volume", "quote_volume", "trades")
    columns = [table[name].to_pylist() for name in ("venue", "symbol", "interval_s")]
    rows = list(zip(*(table[name].to_pylist() for name in names)))
    series, keys = {}, Counter()
    stamps, revisions = micros(table["open_time"]), table["revision"].to_pylist()
    for venue, symbol, interval, start, revision, row in zip(*columns, stamps, revisions, rows):
        keys[venue, symbol, interval, start, revision] += 1
        best = series.setdefault((venue, symbol, interval), {})
        if start not in best or best[start][1] < revision:
            best[start] = (row, revision)
    doubled = [key for key, count in keys.items() if count > 1]
    if doubled:
        sys.exit(f"candles: {len(doubled)} (series, open time, revision) stand twice, e.g. {doubled[0]}")
    return series, table.num_rows


def duckdb_counts(catalog):
    """The same tables counted by another engine."""
    connection = duckdb.connect(config={"autoinstall_known_extensions": "false"})
    load_extensions(connection)
    counts = {}
    for name in ("ticks", "candles"):
        location = catalog.load_table(f"dexorder.{name}").metadata_location
        query = f"select count(*), count(distinct (venue, symbol)) from iceberg_scan('{location}')"
        counts[name] = connection.execute(query).fetchone()
    return counts


def load_extensions(connection):
    """Iceberg for DuckDB comes as Python packages, so nothing is downloaded."""
    import duckdb_extensions

    for name in ("avro", "iceberg"):
        duckdb_extensions.import_extension(name, con=connection)


def compare(expected, ticks, candles, exact):
    """Exits at the first difference."""
    for (venue, symbol), trades in sorted(expected.items()):
        got = Counter(ticks.get((venue, symbol), []))
        missing, doubled = trades.keys() - got.keys(), [t for t, n in got.items() if n > 1]
        extra = got.keys() - trades.keys()
        if missing or doubled or (exact and extra):
            what = {"missing": sorted(missing)[:3], "twice": doubled[:3], "extra": sorted(extra)[:3]}
            sys.exit(f"{venue} {symbol} ticks: {len(missing)} missing, {len(doubled)} twice, {len(extra)} extra: {what}")
        counts = []
        for interval in INTERVALS:
            want = candles_of(trades, interval)
            have = {start: row for start, (row, _) in candles.get((venue, symbol, interval), {}).items()}
            if want != have:
                start = next(s for s in sorted(want.keys() | have.keys()) if want.get(s) != have.get(s))
                sys.exit(f"{venue} {symbol} {interval}s at {start}: want {want.get(start)}, have {have.get(start)}")
            counts.append(f"{interval}s:{len(want)}")
        print(f"{venue:<13} {symbol:<10} {len(trades):>7} trades once each, candles equal: {' '.join(counts)}")
    if exact and (unknown := ticks.keys() - expected.keys()):
        sys.exit(f"series that no recording has: {sorted(unknown)}")


def main():
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--contains", action="store_true", help="the lake may hold more than the recordings")
    parser.add_argument("recordings", type=Path, nargs="+")
    args = parser.parse_args()
    expected = {}
    for path in args.recordings:
        for key, trades in trades_of(path).items():
            expected.setdefault(key, {}).update(trades)
    lake = args.data_dir.resolve() / "lake"
    catalog = SqlCatalog("dexorder", uri=f"sqlite:///{lake}/catalog.sqlite", warehouse=f"file://{lake}/warehouse")
    (ticks, tick_rows), (candles, candle_rows) = read_ticks(catalog), read_candles(catalog)
    counts = duckdb_counts(catalog)
    if counts["ticks"][0] != tick_rows or counts["candles"][0] != candle_rows:
        sys.exit(f"DuckDB counts {counts}, pyiceberg {tick_rows} ticks and {candle_rows} candles")
    compare(expected, ticks, candles, exact=not args.contains)
    print(f"rows: ticks {tick_rows}, candles {candle_rows} (pyiceberg and DuckDB agree)")


if __name__ == "__main__":
    main()

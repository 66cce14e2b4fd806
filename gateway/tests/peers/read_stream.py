"""Reads an Arrow stream with pyarrow: its metadata and its rows, one a line.

Exits with 3 if the stream is not whole: pyarrow itself takes the end of the file for the end of the stream.
"""

import sys

import pyarrow as pa

END = b"\xff\xff\xff\xff\x00\x00\x00\x00"

with open(sys.argv[1], "rb") as file:
    body = file.read()
if not body.endswith(END):
    sys.exit(3)
table = pa.ipc.open_stream(body).read_all()
table.validate(full=True)
for name, value in sorted(table.schema.metadata.items()):
    print(f"{name.decode()}={value.decode()}")
print(";".join(f"{field.name}:{field.type}" for field in table.schema))
for row in table.to_pylist():
    print("|".join(str(value) for value in row.values()))

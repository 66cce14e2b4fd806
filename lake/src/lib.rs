//! Iceberg tables of the platform: schema, partitioned writer, reader.

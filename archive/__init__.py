"""Cold storage: runs that ended long ago, in an SQL database, and their points in Parquet files."""

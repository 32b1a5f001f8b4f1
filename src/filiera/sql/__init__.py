"""The records' SQL: the schema, the migrations that lead to it, and the named queries."""

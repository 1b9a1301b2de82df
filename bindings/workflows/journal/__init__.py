"""What a workflow engine remembers: the port, and SQLite behind it."""

"""What records look like: checked when they come in, and as Arrow columns for the SQL."""

"""What happens to records between the log and the SQL: parse, enrich, mask, filter, sample, route."""

"""Products: one folder per wrangler section."""

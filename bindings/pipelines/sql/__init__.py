"""The SQL of pipelines: which statements are allowed, and how they run on DataFusion."""

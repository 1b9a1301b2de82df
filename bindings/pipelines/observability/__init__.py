"""What can be known of streams and pipelines while they run: Prometheus, GraphQL, errors by kind."""

"""From the log to the sinks: one runner, one lease, one protocol that makes a roll exactly once."""

"""How instances advance: the decisions, one pass over the recorded steps, the runner that claims what is ready."""

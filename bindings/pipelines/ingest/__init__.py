"""How records get in over HTTP."""

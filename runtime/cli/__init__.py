"""The `edge` command: `main.py`, then one file per command."""

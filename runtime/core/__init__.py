"""The model: Request, Response, entrypoints, context. Standard library only, no I/O, no clock."""

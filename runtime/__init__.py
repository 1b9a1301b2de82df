"""The runtime: the model (`core`), the machines it runs on (`hosts`) and the doorways to it (`adapters`)."""

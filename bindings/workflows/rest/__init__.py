"""Cloudflare's REST API of workflows: what it takes, what it shows, and the service between the two."""

"""The plan: wrangler.json, .jsonc or .toml becomes a validated, frozen value."""

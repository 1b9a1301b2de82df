"""The Cloudflare REST API, served locally: envelope, auth, and the routes each binding brings."""

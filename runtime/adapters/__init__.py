"""Doorways: what a platform delivers becomes a Request, and a Response goes back."""

"""Helpers of bindings that are no product themselves."""

"""Helpers that are independent of compression: files, names, arguments, provenance."""

"""Helpers that know nothing of compression: files, names, arguments, provenance."""

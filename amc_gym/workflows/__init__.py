"""Workflows that combine engine and training: compress, finetune, export, search, validate."""

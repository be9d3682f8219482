"""Sharing one copy of weights, images and statistics among many processes."""

"""Compression tasks: a network and three disjoint splits of labelled data."""

"""Tasks of compression: a network and three disjoint splits of labelled images."""

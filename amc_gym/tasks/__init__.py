"""What is compressed: a network and three disjoint splits of labelled images."""

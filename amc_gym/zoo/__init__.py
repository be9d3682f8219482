"""The zoo: networks, data sets, trained weights and their recipes, by name."""

"""What comes with the package: networks, data sets, trained weights and their recipes, by name."""

"""Facts about languages kept with the package, and the readers of the packages that hold the rest."""

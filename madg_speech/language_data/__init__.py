"""Facts about languages: files kept here, and readers of the packages that hold the rest."""

"""An answer tells the first errors and how many others there are."""

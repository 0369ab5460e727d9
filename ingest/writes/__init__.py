"""How rows are changed while others change them too."""

"""Training: learns a space that images and texts share, from their pairs."""

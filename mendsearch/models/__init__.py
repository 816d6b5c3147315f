"""Networks by name: those built in, torchvision's, and those of the user's own package."""

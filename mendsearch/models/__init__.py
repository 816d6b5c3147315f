"""Networks by name: built-in ones, torchvision's, and those of the user's own package."""

"""What is common to all families of environments."""

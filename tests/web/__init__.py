"""What the reading room is held to."""

"""What a file says of itself: facts from parsers, the time of use, the sidecar beside it."""

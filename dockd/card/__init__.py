"""What lies on a recorder's card: listed and opened by directory fd, named by profiles, never changed."""

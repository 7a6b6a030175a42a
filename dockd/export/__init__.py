"""What others read: inventory, its description, manifests."""

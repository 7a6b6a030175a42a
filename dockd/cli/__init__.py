"""What people type: one module per noun; each reads arguments, calls one function and prints."""

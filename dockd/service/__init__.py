"""What runs for ever: a supervisor with one wait over everything, and the parts that it runs."""

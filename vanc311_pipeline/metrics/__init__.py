"""What the numbers are: pure functions and SQL expressions for each aggregate, and the laws that hold between them."""

"""What the city says: the client, the contract it is held to, and landed files."""

"""What the city says: the client, the contract it is held to, landed files, and a stand-in server for tests and offline use."""

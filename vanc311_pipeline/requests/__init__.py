"""What a request is: pure functions on frames that clean rows, give them identity, and find what moved. No I/O."""

"""What every reader of the published file shares: the release that is current, and the questions that it is asked."""

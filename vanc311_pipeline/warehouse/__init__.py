"""Where the data is kept: engine, transactions, ledger, publishing. The only place that writes to a database."""

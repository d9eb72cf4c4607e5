"""The slot ledger: for every instant at which a schedule should run, exactly one verdict and, if missed, its cause."""

"""Makes the bundle: one signed folder from which servers without internet are installed."""

"""The bank behind the voice: authorisation, limits, orders of money, and the port to the bank."""

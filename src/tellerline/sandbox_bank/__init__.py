"""A bank to try things with: docs/bank-api.yaml over seeded customers; slow, failing or hanging at will."""

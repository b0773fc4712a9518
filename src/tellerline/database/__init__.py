"""The database `tellerline`: its roles, its migrations, and how daemons connect to it and to Redis."""

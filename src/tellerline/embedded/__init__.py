"""A real PostgreSQL and a real Valkey server out of wheels, in a folder of their own.

What Debian's packages and Ansible do on an appliance: clusters, roles with passwords in files, the database,
its migrations. Both servers listen on unix sockets alone. Used by the embedded stack and by tests.

    with Datastores(home / "datastores") as stores:
        settings.SessionSettings(database=stores.database("session"), redis=stores.redis("session"), ...)

A supervisor that wants to run the servers itself calls `prepare()`, runs `postgres_server.command` and
`valkey_server.command`, waits with `wait_until_ready()` and then calls `migrate()`.
"""

from tellerline.embedded.binaries import Binaries
from tellerline.embedded.stores import DATABASE, Datastores, Fresh, temporary

__all__ = ["DATABASE", "Binaries", "Datastores", "Fresh", "temporary"]

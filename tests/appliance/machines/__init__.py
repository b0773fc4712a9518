"""Booted Debian 12 hosts on a bridge of their own with no route out.

A *site* is one process, its keeper: the first process of a PID namespace that also owns the site's network
and mount namespaces. Bridge, machines, their mounts and whatever runs in them live in those namespaces and in
no other, so when the keeper ends, however it ends, the kernel removes all of it. What stays is a folder below
var/hosts/sites. There is no route out because there is nothing to route to: the bridge is the only link of
the site's network. Hosts have a gateway and a name server all the same, so that whatever tries to leave is
seen on the bridge (`capture`), where the gateway refuses it.

The control side (ansible-playbook, the robot, a capture) is any process in the site's network. Debian's
packages are fetched once, on the outside, into an image that every host has below its own files (overlayfs).
"""

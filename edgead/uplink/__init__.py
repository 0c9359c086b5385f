"""The optional way to the cloud side: signed models down, events and data up.  Extra ``uplink``.

`publish` makes a TUF repository as plain files; `sync` brings its releases onto a device's shelf.  Nothing that comes
over the network is believed because of where it comes from: not the server, not the mirror, not the stick.
"""

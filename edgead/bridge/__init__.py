"""MQTT: which messages are readings, what a node says, the commands it takes, and the connection to the broker.

``topics`` and ``payloads`` read, ``messages`` and ``commands`` speak, ``client`` is the connection (the
only file that knows paho) and ``inbox`` the queue between its thread and the engine's.  docs/mqtt-api.md is
the contract.
"""

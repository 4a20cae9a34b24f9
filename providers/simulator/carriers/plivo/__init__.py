"""Plivo on loopback: its REST API, its signed requests, its XML and its media sockets."""

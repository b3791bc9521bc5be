"""Fakes of the ports, one module a port."""

"""Breaks each rule of the bridge on purpose, to show that a test notices."""

"""Drills: a part of the installation is lost for good, and the commands of docs/disaster.md bring it back."""

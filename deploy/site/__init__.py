"""The documents as a web site: gathered, built by Zensical, and every link in the result followed."""

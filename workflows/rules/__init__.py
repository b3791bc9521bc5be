"""The rules of sign-in. They decide, take time as an argument, and import no Temporal."""

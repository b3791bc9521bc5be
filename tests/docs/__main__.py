"""Write what is generated from the code, tables of docs/reference.md and screens: ``python -m tests.docs``."""

from tests.docs import check_screens, generated

if __name__ == "__main__":
    generated.write()
    check_screens.write()

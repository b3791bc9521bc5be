"""Write what documents tell from the code, parts of README.md and DESIGN.md and screens: ``python -m tests.docs``."""

from tests.docs import check_screens, generated

if __name__ == "__main__":
    generated.write()
    check_screens.write()

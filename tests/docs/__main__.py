"""Write the parts of README.md and DESIGN.md that are told from the code: ``python -m tests.docs``."""

from tests.docs.generated import write

if __name__ == "__main__":
    write()

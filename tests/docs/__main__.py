"""Write what is generated from the code: tables, screens, the chart's settings. ``python -m tests.docs``."""

from tests.docs import chart_schema, check_screens, generated

if __name__ == "__main__":
    generated.write()
    check_screens.write()
    chart_schema.write()

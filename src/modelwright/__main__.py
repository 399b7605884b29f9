"""`python -m modelwright` is `mw`."""

from modelwright.cli.main import main

if __name__ == "__main__":
    main()

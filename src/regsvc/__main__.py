"""`python -m regsvc` is the `regsvc` command."""

from regsvc.cli import main

if __name__ == "__main__":
    main()

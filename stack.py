"""Blend experiments: `python stack.py`. Program: seti/stack.py."""

from seti.stack import main

if __name__ == "__main__":
    main()

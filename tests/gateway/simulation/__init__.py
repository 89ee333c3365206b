"""Threads, sockets and a clock for tests that make millions of requests.

threads.py one thread runs at a time, and a seed decides which; time passes when nothing else can happen
locks.py   what threads wait for
sockets.py unix sockets in memory, as Linux has them
load.py    imports the gateway and its stand-ins with these in the place of the standard library's

The code that runs on them is not changed. What a seed finds it finds again. test_simulation.py runs the same
programs on both.
"""

"""Fuzzing of the gateway: a recorded corpus and fixed seeds for `make test`, a random search for `make fuzz`.

rules.py     what must hold for any input; it shares no table with the gateway
mutations.py how an input is changed
seeds.py     inputs to begin with
corpus/      inputs that a search found, each a fixed case from then on
replay.py    deterministic: corpus, seeds, and a fixed number of mutations of them
search.py    coverage-guided (atheris), for a given time
clients.py   several clients of a whole gateway, in any order, against a model of the promise (promise.py,
             deeds.py, ends.py, rounds.py), on simulated threads (../simulation)
"""

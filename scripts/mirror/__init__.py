"""The images that a release needs, for clusters that pull from a registry of their own.

python -m scripts.mirror --values my.yaml                                    # print them
python -m scripts.mirror --values my.yaml --to registry.example.com/mirror   # copy them, too
"""

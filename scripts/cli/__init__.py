"""`airdock`: the commands for users, as one program that `pip install` brings.

In the package the folder `airdock` is laid out as the clone is (scripts/, charts/), so that the code and its
paths are the same in both; pyproject.toml says what is in it. `installed.py` becomes `airdock/__init__.py`.
"""

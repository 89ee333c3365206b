# A virtual environment in /usr/local: the interpreter, pip and sys.prefix are where the official image has
# them, and `pip install` works without a word about managed environments. (System packages there are none; they
# are let in because only then pip falls back to ~/.local for users who may not write here.)
python3 -m venv --symlinks --system-site-packages /usr/local
# Bytecode that does not depend on times: the root file system is often read-only.
python3 -m compileall -q --invalidation-mode unchecked-hash /usr/local/lib

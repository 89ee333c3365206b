"""DAGs of authors who search for secrets where their code runs: as a file is parsed, and as a trigger runs.

tests/e2e/test_dag_code.py reads what they found.
"""

import json
import socket
import subprocess
import sys
from pathlib import Path

from airflow.sdk import DAG, BaseOperator, Connection, Variable
from airflow.triggers.base import BaseTrigger

SEARCH = Path(__file__).with_name("secret_search.py")
#: The database's URL with its password, the Fernet key, the API secret key. It does not match itself.
PATTERN = r"postgresql[+a-z0-9]*://[^:@/\s]+:[\w-]{20,}@|_KEY=[\w-]{30}"
FOUND = Path("/tmp/e2e-search.json")

# The first time that the test's variable is there.
if "dag-processor" in socket.gethostname() and not FOUND.exists() and Variable.get("e2e_search", default=""):
    subprocess.run([sys.executable, str(SEARCH), PATTERN, "/tmp/e2e-search-child.json"], check=True)
    sys.path.insert(0, str(SEARCH.parent))
    import secret_search

    ways = secret_search.search(PATTERN.encode())
    values = [Variable.get("e2e_search"), Connection.get("e2e_search").password]
    FOUND.write_text(json.dumps({"ways": ways, "values": values}))


class Popen(BaseTrigger):
    """A trigger whose serialized form names another class: the triggerer creates what it names."""

    def serialize(self):
        """Name a class of the standard library, which starts a process."""
        command = [sys.executable, str(SEARCH), PATTERN, str(FOUND)]
        return ("subprocess.Popen", {"args": command})

    async def run(self):
        """Do nothing: it is never called."""
        yield


class Defer(BaseOperator):
    """Has the triggerer do it."""

    def execute(self, context):
        """Defer."""
        self.defer(trigger=Popen(), method_name="execute")


with DAG("e2e_search", schedule=None):
    Defer(task_id="work")
